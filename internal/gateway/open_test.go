package gateway

import (
	"context"
	"io"
	"net/http"
	"testing"
	"time"
)

// Over all connections no more requests and streams are open than may be; when one ends there is room for another.
//
// Mutations seen to fail it: no bound; a place that is kept.
func TestOpenStreamsAreBounded(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Limits = Limits{Open: 3} })
	client, url := r.h2()
	ask := func(ctx context.Context, body io.Reader, form string) (int, string) {
		q, _ := http.NewRequestWithContext(ctx, "POST", url+"/topics/"+orders+"/events?key=a", body)
		q.Header.Set("Content-Type", form)
		res, err := client.Do(q)
		if err != nil {
			return 0, err.Error()
		}
		defer res.Body.Close()
		data, _ := io.ReadAll(res.Body)
		return res.StatusCode, string(data) + res.Header.Get("Retry-After")
	}
	ctx, cancel := context.WithCancel(t.Context())
	for range 3 {
		body, w := io.Pipe()
		t.Cleanup(func() { _ = w.Close() })
		go func() { _, _ = ask(ctx, body, ndjsonType) }()
		go func() { _, _ = w.Write([]byte("1")) }()
	}
	for r.gate.opened.Load() < 3 {
		time.Sleep(time.Millisecond)
	}
	if status, answer := ask(t.Context(), http.NoBody, jsonType); status != 429 || answer == "" {
		t.Errorf("%d %s", status, answer)
	}
	cancel()
	for r.gate.opened.Load() > 0 {
		time.Sleep(time.Millisecond)
	}
	if status, answer := ask(t.Context(), http.NoBody, jsonType); status != 400 {
		t.Errorf("%d %s", status, answer)
	}
}
