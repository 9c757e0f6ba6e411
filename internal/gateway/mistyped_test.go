package gateway

import (
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

// goWords are those that only this program's own code knows.
var goWords = regexp.MustCompile(`Go (value|struct)|json: (cannot|invalid number|unknown)|[ *\]](gateway|rpc|registry)\.[A-Za-z]|map\[|Time\.|strconv|\bv[23][A-Z]\w+`)

// What is wrong with a body is said in the words of who sent it: no form names a type or function of the program, whatever value stands in whichever place.
//
// Mutations seen to fail it: unmarshal without Plain; structured that takes objects as attributes; serviceJSONs without serviceProto.
func TestNoAnswerNamesATypeOfTheProgram(t *testing.T) {
	r := newRigOf(t, func(c *Config) { c.Schemas = schemasOfTest })
	cluster, p := r.gate.cluster()
	if p != nil {
		t.Fatal(p)
	}
	bodies := []string{"", "{", "[", `{"a":1}x`, `{"a":1,"a":2}`}
	for _, v := range []string{"1", `"x"`, "null", "[]", "[1]", "{}", "true", `{"a":1}`, "1e400", "-1", "1.5", "99999999999999999999", `"\ud800"`} {
		bodies = append(bodies, v)
		for _, place := range []string{`{"records":%}`, `{"records":[%]}`, `{"records":[{"partition":%,"value":1}]}`, `{"value_schema":%,"records":[{"value":1}]}`, `{"value_schema_id":%,"records":[{"value":1}]}`, `{"key_schema_id":%}`, `{"x":%}`,
			`{"value":%}`, `{"key":%}`, `{"headers":%}`, `{"headers":[{"name":%,"value":%}]}`, `{"timestamp":%}`, `{"partition_id":%}`, `{"value":{"type":%}}`, `{"value":{"schema_id":%}}`, `{"value":{"schema_version":%}}`, `{"value":{"schema":%}}`,
			`{"value":{"subject":%}}`, `{"value":{"data":%}}`, `{"key":{"data":%}}`, `{"entries":%}`, `{"entries":[%]}`, `{"entries":[{"id":%}]}`, `{"entries":[{"id":"1","timestamp":%}]}`,
			`{"topic":%}`, `{"topic":"order.placed.v1","event":%}`, `{"topic":"order.placed.v1","event":{"headers":%}}`, `{"id":%,"lines":[]}`, `{"id":"a","lines":[{"amount":%}]}`,
			`{"specversion":%,"id":"a","source":"/s","type":"t"}`, `{"specversion":"1.0","id":%,"source":"/s","type":"t"}`, `{"specversion":"1.0","id":"a","source":%,"type":"t","time":%}`,
			`{"specversion":"1.0","id":"a","source":"/s","type":"t","time":%}`, `{"specversion":"1.0","id":"a","source":"/s","type":"t","ext":%}`, `{"specversion":"1.0","id":"a","source":"/s","type":"t","datacontenttype":%,"data":%}`,
			`{"specversion":"1.0","id":"a","source":"/s","type":"t","datacontenttype":"text/plain","data":%}`, `{"specversion":"1.0","id":"a","source":"/s","type":"t","data_base64":%}`} {
			body := strings.ReplaceAll(place, "%", v)
			bodies = append(bodies, body, "["+body+"]")
		}
	}
	seen := map[string]bool{}
	for _, form := range bodyForms {
		for _, body := range bodies {
			q := httptest.NewRequest("POST", strings.Replace(form.path, "CLUSTER", cluster, 1), strings.NewReader(body))
			q.Header.Set("Content-Type", form.form)
			q.RemoteAddr, q.Host = "127.0.0.1:1", "127.0.0.1"
			w := httptest.NewRecorder()
			r.gate.ServeHTTP(w, q)
			if w.Code == 403 {
				t.Fatalf("%s: %s", form.name, w.Body)
			}
			if found := goWords.FindString(w.Body.String()); found != "" && !seen[form.name+found] {
				seen[form.name+found] = true
				t.Errorf("%s: %s: %d %.300s", form.name, body, w.Code, w.Body)
			}
		}
	}
}
