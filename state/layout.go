package state

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
)

// TopologyDir is the folder of a topology in a state folder: the one to lock, and the one that keeps the instance's id.
func TopologyDir(stateDir, topology string) string {
	return filepath.Join(stateDir, element(topology))
}

// StoreDir is the folder of a store's database at one partition: <state folder>/<topology>/<store>/<partition>.
func StoreDir(stateDir, topology, store string, partition int32) string {
	return filepath.Join(TopologyDir(stateDir, topology), element(store), strconv.Itoa(int(partition)))
}

// element makes any name one element of a path, different names different elements. Letters, digits, dots, dashes and
// underscores stay; a dot in front does not, for this package's own files begin with one.
func element(name string) string {
	var b strings.Builder
	for i := range len(name) {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '.' && i > 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	if b.Len() == 0 {
		return "%"
	}
	return b.String()
}
