package registry

import (
	"net/http/httptest"
	"strings"
	"testing"
)

// A registry that is starting answers with its API's error, to be asked again; to other servers it says that it does not write.
//
// Mutation seen to fail it: no word to other servers.
func TestARegistryThatStartsSaysSo(t *testing.T) {
	for _, writer := range []string{"", "1/2"} {
		q := httptest.NewRequest("POST", "/subjects/a/versions", strings.NewReader(`{}`))
		if writer != "" {
			q.Header.Set(headerWriter, writer)
		}
		w := httptest.NewRecorder()
		Starting().ServeHTTP(w, q)
		if w.Code != 503 || w.Header().Get("Content-Type") != mediaType || w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), `"error_code":50002`) {
			t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
		}
		if is := w.Header().Get(headerWriter); (is == "no") != (writer != "") {
			t.Errorf("%q says %q", writer, is)
		}
	}
}
