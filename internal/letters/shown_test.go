package letters

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/weirstream/weir/deadletter"
	"github.com/weirstream/weir/internal/kafka"
)

// TestAHeaderWithoutAValueIsShownAsOne, as an export does: empty is another thing.
//
// Mutation, seen to fail it: an empty text for none.
func TestAHeaderWithoutAValueIsShownAsOne(t *testing.T) {
	l := Letter{Letter: deadletter.Letter{Headers: []kafka.Header{{Key: "none"}, {Key: "empty", Value: []byte{}}}}, Record: &kafka.Record{}}
	out, err := json.Marshal(l.shown(true).Headers)
	if want := `[{"key":"none","value":null},{"key":"empty","value":""}]`; err != nil || strings.TrimSpace(string(out)) != want {
		t.Errorf("%s, %v", out, err)
	}
}
