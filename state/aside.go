package state

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"go.uber.org/zap"
)

// Aside is why a database is set aside.
type Aside string

// The reasons.
const (
	Damaged   Aside = "damaged"   // it cannot be read
	Unfit     Aside = "unfit"     // it does not fit its changelog: it is too old, or the changelog lost records
	Recreated Aside = "recreated" // its changelog was deleted and created again
)

// SetAside renames the folder of a database to <dir>.<why>-<time> and returns the new name. It is kept for whoever wants to
// look at it, and nothing ever reads it again. The store must be closed.
func SetAside(dir string, why Aside, log *zap.Logger) (string, error) {
	dir = filepath.Clean(dir)
	aside := dir + "." + string(why) + "-" + time.Now().UTC().Format("20060102T150405.000000000Z")
	if err := os.Rename(dir, aside); err != nil {
		return "", fmt.Errorf("set aside the database in %s: %w%s", dir, err, remedy(err))
	}
	if log != nil {
		log.Warn("set a database aside; delete it when nobody wants to look at it any more",
			zap.String("why", string(why)), zap.String("dir", dir), zap.String("kept", aside))
	}
	return aside, nil
}
