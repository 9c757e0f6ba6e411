package replay

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/weirstream/weir/internal/buildinfo"
)

// build is which program has begun a shadow: outputs of two of them, compared as those of one, would say nothing of either.
type build struct {
	Hash     string `json:"sha256"` // of the program's file
	Version  string `json:"version,omitempty"`
	Revision string `json:"revision,omitempty"`
}

func (b *build) String() string {
	switch {
	case b == nil:
		return "of an earlier Weir, whose program is not known"
	case b.Revision != "":
		return fmt.Sprintf("%s of revision %s (SHA-256 %s)", b.Version, b.Revision, b.Hash[:min(12, len(b.Hash))])
	}
	return fmt.Sprintf("%s (SHA-256 %s)", b.Version, b.Hash[:min(12, len(b.Hash))])
}

// thisBuild is the program that runs.
var thisBuild = sync.OnceValues(func() (*build, error) {
	sum, err := hashOfProgram()
	if err != nil {
		return nil, fmt.Errorf("read the file of this program, to know later whether the same one goes on: %w", err)
	}
	info := buildinfo.Read()
	return &build{Hash: sum, Version: info.Version, Revision: info.Revision}, nil
})

func hashOfProgram() (string, error) {
	f, err := os.Open("/proc/self/exe") // what runs, also where another build has its name by now
	if err != nil {
		path, err := os.Executable()
		if err != nil {
			return "", err
		}
		if f, err = os.Open(path); err != nil {
			return "", err
		}
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// goesOn refuses a shadow that another build has begun.
func (s *standing) goesOn(by *build) error {
	if s.Build != nil && s.Build.Hash == by.Hash {
		return nil
	}
	return fmt.Errorf("shadow %s began at %s with another build of the program, %s, and this is %s: their outputs would be compared as if they were one build's. "+
		"Go on with that build, or begin again with this one: replay run FILE --force", s.Job, s.Began.Format(time.RFC3339), s.Build, by)
}
