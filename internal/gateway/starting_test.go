package gateway

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// A gateway that is starting, as one that is stopping, refuses in the form that each client reads.
//
// Mutations seen to fail it: one form for all, of a start and of an end.
func TestAGatewayThatStartsOrStopsRefusesInEachForm(t *testing.T) {
	r := newRig(t, nil)
	r.gate.Drain(t.Context())
	for what, h := range map[string]http.Handler{"starting": Starting(), "stopping": r.gate} {
		for _, one := range []struct{ path, form, answer, says string }{
			{"/topics/" + orders + "/events", jsonType, problemType, `"type":"urn:weir:problem:not-written"`},
			{"/topics/" + orders + "/events", ndjsonType, problemType, `"status":503`},
			{"/topics/" + orders, "application/vnd.kafka.json.v2+json", v2Type, `"error_code":50003`},
			{"/v3/clusters/x/topics/" + orders + "/records", jsonType, jsonType, `"error_code":50003`},
			{rpcPath + "Publish", jsonType, jsonType, `"code":"unavailable"`},
			{rpcPath + "Publish", "application/grpc-web+proto", "application/grpc-web+proto", ""},
			{"/elsewhere", "", problemType, what},
		} {
			q := httptest.NewRequest("POST", one.path, strings.NewReader(`{}`))
			q.Header.Set("Content-Type", one.form)
			w := httptest.NewRecorder()
			h.ServeHTTP(w, q)
			status, said := http.StatusServiceUnavailable, w.Body.String()
			if strings.HasPrefix(one.form, "application/grpc") {
				if status, said = http.StatusOK, w.Header().Get("Grpc-Message"); w.Header().Get("Grpc-Status") != "14" {
					t.Errorf("%s: %v", what, w.Header())
				}
			}
			if w.Code != status || w.Header().Get("Content-Type") != one.answer || !strings.Contains(strings.ToLower(w.Body.String()), one.says) ||
				!strings.Contains(said, what) || len(w.Header()["Retry-After"]) != 1 {
				t.Errorf("%s: %s %s: %d %v %s", what, one.path, one.form, w.Code, w.Header(), w.Body)
			}
		}
	}
}
