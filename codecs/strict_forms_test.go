package codecs

import (
	"encoding/json"
	"math/big"
	"net/netip"
	"strings"
	"testing"
	"time"
)

type strictForms struct {
	At     time.Time
	Line   *strictLine
	Times  []time.Time
	Own    own
	Nil    strictNull
	More   json.RawMessage
	Number json.Number
	Big    *big.Int
	Large  big.Int
	Any    any
	Next   *strictForms
	Two    [2]int
	None   [0]int
	Wide   []map[int8][1]strictLine
	Ints   map[int]string
	Bytes  map[uint8]int
	Hosts  map[netip.Addr]int
	Names  map[strictName]strictLine
}

// strictName is a key that is written in several ways, though it is a text.
type strictName string

func (n *strictName) UnmarshalText(text []byte) error {
	*n = strictName(strings.ToLower(string(text)))
	return nil
}

// strictNull is a type that writes null for nothing.
type strictNull struct{ set bool }

func (n strictNull) MarshalJSON() ([]byte, error) {
	if n.set {
		return []byte("1"), nil
	}
	return []byte("null"), nil
}

func (n *strictNull) UnmarshalJSON(data []byte) error {
	n.set = string(data) != "null"
	return nil
}

// Null for a type that has none, also where the type reads itself, an element that an array has no place for, and a key that another one replaces are
// refused, with their place; null where it is written, and keys that differ, are read.
//
// Mutations seen to fail it: null for all types that read themselves, and for none; arrays without their length; keys that are compared as they are
// written, of each kind.
func TestStrictJSONRefusesWhatWouldBeLost(t *testing.T) {
	c := JSON[strictForms](Strict())
	for document, want := range map[string]string{
		`{"At":null}`:                             `$.At: null is no value of time.Time`,
		`{"Line":{"at":null}}`:                    `$.Line.at: null is no value of time.Time`,
		`{"Times":["2026-01-02T03:04:05Z",null]}`: `$.Times[1]: null is no value of time.Time`,
		`{"Own":null}`:                            `$.Own: null is no value of codecs.own`,
		`{"Large":null}`:                          `$.Large: null is no value of big.Int`,
		`{"Number":null}`:                         `$.Number: null is no value of json.Number`,
		`{"Next":{"At":null}}`:                    `$.Next.At: null is no value of time.Time`,
		`{"Two":[1,2,3]}`:                         `$.Two[2]: [2]int has no such element`,
		`{"None":[1]}`:                            `$.None[0]: [0]int has no such element`,
		`{"Wide":[{"1":[{"sku":"s"},{}]}]}`:       `$.Wide[0]["1"][1]: [1]codecs.strictLine has no such element`,
		`{"Ints":{"1":"a","01":"b"}}`:             `$.Ints["01"]: the key comes twice, written in another way`,
		`{"Ints":{"0":"a","-0":"b"}}`:             `$.Ints["-0"]: the key comes twice, written in another way`,
		`{"Bytes":{"7":1,"8":2,"007":3}}`:         `$.Bytes["007"]: the key comes twice, written in another way`,
		`{"Hosts":{"::1":1,"0:0:0:0:0:0:0:1":2}}`: `$.Hosts["0:0:0:0:0:0:0:1"]: the key comes twice, written in another way`,
		`{"Names":{"a":{},"A":{}}}`:               `$.Names.A: the key comes twice, written in another way`,
	} {
		if _, err := c.Parse([]byte(document)); err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%s: %v\nwant %s", document, err, want)
		}
	}
	for _, document := range []string{
		`{"Ints":{"1":"a","10":"b","-1":"c"},"Bytes":{"1":2},"Hosts":{"::1":1,"::2":2},"Names":{"a":{},"b":{}},"Wide":[{"1":[{"sku":"s"}],"2":[]}],"Two":[1],"None":[]}`,
		`{"Line":null,"Nil":null,"More":null,"Any":null,"Big":null,"Ints":null,"Times":null,"Next":{"Nil":null,"Next":{"Nil":null}}}`,
	} {
		if _, err := c.Parse([]byte(document)); err != nil {
			t.Errorf("%s: %v", document, err)
		}
	}
	if _, err := c.Parse([]byte(`{"Ints":{"one":"a"}}`)); err == nil || !strings.Contains(err.Error(), "cannot unmarshal") {
		t.Errorf("a key that is none: %v", err)
	}
}
