// Package provenance says which headers are facts: in topics that Weir owns, and nowhere else.
package provenance

import "strings"

// Reserved says whether a header is Weir's own: a fact in a dead letter and in other topics that Weir owns. Elsewhere it is what some
// producer wrote: it is neither believed nor passed on.
func Reserved(key string) bool {
	return strings.HasPrefix(key, "weir.") || strings.HasPrefix(key, "__streams.errors.")
}
