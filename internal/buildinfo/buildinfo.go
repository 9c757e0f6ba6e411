// Package buildinfo says what a program was built from, as far as the Go tool has noted it.
package buildinfo

import "runtime/debug"

const module = "github.com/weirstream/weir"

// Info is what a program was built from.
type Info struct {
	Version  string `json:"version"` // of the program's main module; "unknown" where nothing was noted
	Weir     string `json:"weir"`    // of the framework in it; "unknown" where nothing was noted
	Revision string `json:"revision,omitempty"`
	Time     string `json:"time,omitempty"` // of the revision
	Modified bool   `json:"modified"`       // built from a tree with changes that are not in the revision
}

// Read is that of this program.
func Read() Info {
	b := Info{Version: "unknown", Weir: "unknown"}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	b.Version = info.Main.Version
	for _, m := range append(info.Deps, &info.Main) {
		if m.Path == module {
			b.Weir = m.Version
		}
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value
		case "vcs.time":
			b.Time = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}
