package gateway

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/weirstream/weir/internal/httpserver"
	"github.com/weirstream/weir/internal/publish"
)

// headerHop marks a request of another gateway: its value is the token that they share, or "local" where nobody needs credentials.
const headerHop = "Weir-Gateway-Hop"

const (
	hopPath   = "/internal/ids/"
	hopWithin = 5 * time.Second
	hopAnswer = hopWithin - time.Second // who is asked answers before who asks takes his place
	hopMost   = 64 << 20
	localHop  = "local"
)

// forward has another gateway take items. is says that it is the owner, and the answer its word.
func (o *once) forward(ctx context.Context, url string, p int32, items []item) (_ []verdict, is bool, err error) {
	if o.g.Config.Clients != nil && o.g.PeerToken == "" || url == "" {
		return nil, false, errors.New("gateways have no token by which they know each other")
	}
	body, err := json.Marshal(items)
	if err != nil {
		return nil, true, err
	}
	ctx, cancel := context.WithTimeout(ctx, hopWithin)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(url, "/")+hopPath+strconv.Itoa(int(p)), bytes.NewReader(body))
	if err != nil {
		return nil, false, err
	}
	token := o.g.PeerToken
	if token == "" {
		token = localHop
	}
	r.Header.Set(headerHop, token)
	res, err := o.peers.Do(r)
	if err != nil {
		return nil, false, err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(io.LimitReader(res.Body, hopMost))
	if err != nil {
		return nil, false, err
	}
	switch res.StatusCode {
	case http.StatusOK:
		var verdicts []verdict
		if err := json.Unmarshal(data, &verdicts); err != nil || len(verdicts) != len(items) {
			return nil, false, fmt.Errorf("%s answers, and is no gateway of this cluster", url)
		}
		return verdicts, true, nil
	case http.StatusTooManyRequests:
		return nil, true, publish.ErrFull
	case http.StatusBadGateway: // it is the owner, and Kafka does not take the events from it
		return nil, true, errors.New(string(data))
	}
	return nil, false, fmt.Errorf("%s answers %s", url, res.Status)
}

// hop answers a request of another gateway, and says whether it was one.
func (o *once) hop(w http.ResponseWriter, r *http.Request) bool {
	text, ok := strings.CutPrefix(r.URL.Path, hopPath)
	p, err := strconv.ParseInt(text, 10, 32)
	if !ok || err != nil || p < 0 || p >= idPartitions || r.Method != http.MethodPost {
		return false
	}
	if !o.knows(r) {
		forbidden.of("the request is of no gateway that this one knows").write(w)
		return true
	}
	o.mu.Lock()
	owner := o.mine[int32(p)]
	o.mu.Unlock()
	if owner == nil {
		conflict.of("this gateway does not own the ids").write(w)
		return true
	}
	ctx, cancel := context.WithTimeout(r.Context(), hopAnswer)
	defer cancel()
	data, err := io.ReadAll(io.LimitReader(r.Body, hopMost))
	var items []item
	if err == nil {
		err = json.Unmarshal(data, &items)
	}
	if err != nil {
		malformed.of("%v", err).write(w)
		return true
	}
	for i := range items {
		if name, ours := strings.CutPrefix(items[i].Topic, o.prefix); !ours || o.g.topics.takes(name) != nil || items[i].Place == (place{}) {
			w.WriteHeader(http.StatusBadGateway)
			_, _ = fmt.Fprintf(w, "the gateway that owns the ids takes no events for topic %s", strconv.Quote(items[i].Topic))
			return true
		}
	}
	verdicts, err := owner.take(ctx, items)
	switch {
	case errors.Is(err, publish.ErrFull):
		overloaded.of("%v", err).write(w)
	case errors.Is(err, errNotOwner):
		conflict.of("%v", err).write(w)
	case err != nil:
		w.WriteHeader(http.StatusBadGateway)
		_, _ = io.WriteString(w, err.Error())
	default:
		writeJSON(w, http.StatusOK, verdicts)
	}
	return true
}

// knows says whether a request comes from another gateway.
func (o *once) knows(r *http.Request) bool {
	if o.g.PeerToken == "" {
		return o.g.clients.Load() == nil && httpserver.OnLoopback(r) && r.Header.Get("Origin") == ""
	}
	a, b := sha256.Sum256([]byte(r.Header.Get(headerHop))), sha256.Sum256([]byte(o.g.PeerToken))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}
