package registry

import (
	"strings"
	"testing"
)

// Records of associations, which Confluent's registry writes, are nothing that is not understood.
//
// Mutation seen to fail it: a keytype that is not known.
func TestAssociationsArePassedOver(t *testing.T) {
	rig := newRig(t)
	_, r := rig.open()
	if err := rig.write(t.Context(), `{"keytype":"ASSOC","tenant":"default","subject":"s","magic":0}`, `{"subject":"s"}`); err != nil {
		t.Fatal(err)
	}
	if got := ask(r, "POST", "/subjects/s/versions", `{"schema":"\"long\""}`); !strings.Contains(got, `"id":1`) {
		t.Fatal(got)
	}
	if problems := r.log.Problems(); len(problems) > 0 {
		t.Errorf("%+v", problems)
	}
}
