package service

import (
	"context"
	"fmt"
	"os"
	"time"
)

// Files are files that are read again when they change. It is for one goroutine.
type Files struct {
	paths []string
	seen  string
}

// Watched are the files of some paths as they are now; "" is none.
func Watched(paths ...string) *Files {
	f := &Files{paths: paths}
	f.Changed()
	return f
}

// Changed says whether the files are not as they were when it was asked last: by their times and sizes, and by whether they are there.
func (f *Files) Changed() bool {
	is := ""
	for _, path := range f.paths {
		if path == "" {
			continue
		}
		if info, err := os.Stat(path); err != nil {
			is += "none;"
		} else {
			is += fmt.Sprint(info.ModTime().UnixNano(), " ", info.Size(), ";")
		}
	}
	changed := is != f.seen
	f.seen = is
	return changed
}

// Every does something again and again, until ctx ends.
func Every(ctx context.Context, d time.Duration, do func()) {
	tick := time.NewTicker(d)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			do()
		}
	}
}
