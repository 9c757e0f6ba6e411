package jsonvalue_test

import (
	"testing"

	"github.com/weirstream/weir/internal/schema/jsonvalue"
)

// A value that an enum has twice is taken out wherever the enum is a keyword, also below a property or definition that is called like one, and
// nowhere else: a constant with a member called enum is that constant.
//
// Mutations seen to fail it: Below that takes each name for a keyword; Below without what holds values.
func TestARepeatedValueOfAnEnumCountsOnce(t *testing.T) {
	for schema, documents := range map[string][2]string{ // the first is valid, the second is not
		`{"enum":[1,1]}`: {`1`, `2`},
		`{"properties":{"const":{"enum":[1,1]},"default":{"enum":[1,1]},"examples":{"enum":[1,1]},"enum":{"enum":[1,1]}}}`: {`{"const":1,"default":1,"examples":1,"enum":1}`, `{"examples":2}`},
		`{"definitions":{"const":{"enum":["a","a"]}},"$ref":"#/definitions/const"}`:                                        {`"a"`, `"b"`},
		`{"patternProperties":{"default":{"items":[{"enum":[null,null]}]}}}`:                                               {`{"default":[null]}`, `{"default":[1]}`},
		`{"dependencies":{"const":{"properties":{"a":{"enum":[1,1]}}},"enum":["a"]}}`:                                      {`{"const":0,"a":1}`, `{"const":0,"a":2}`},
		`{"anyOf":[{"not":{"enum":[1,1]}}]}`:                                                                               {`2`, `1`},
		`{"const":{"enum":[1,1]}}`:                                                                                         {`{"enum":[1,1]}`, `{"enum":[1]}`},
		`{"enum":[{"enum":[1,1]},{"enum":[1,1]},true]}`:                                                                    {`{"enum":[1,1]}`, `{"enum":[1]}`},
	} {
		s, err := jsonvalue.Compile(schema, nil)
		if err != nil {
			t.Errorf("%s: %v", schema, err)
			continue
		}
		if err := s.Check([]byte(documents[0])); err != nil {
			t.Errorf("%s by %s: %v", documents[0], schema, err)
		}
		if s.Check([]byte(documents[1])) == nil {
			t.Errorf("%s by %s is valid", documents[1], schema)
		}
	}
}
