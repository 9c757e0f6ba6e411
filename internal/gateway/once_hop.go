package gateway

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weirstream/weir/internal/httpserver"
	"github.com/weirstream/weir/internal/publish"
)

// headerHop marks a request of another gateway: its value is the token that they share, or "local" where nobody needs credentials.
const headerHop = "Weir-Gateway-Hop"

const (
	hopPath    = "/internal/ids/"
	hopWithin  = 5 * time.Second
	hopAnswer  = hopWithin - time.Second // who is asked answers before who asks takes his place
	hopMost    = 64 << 20
	hopItems   = 1000    // of a request, unless a parcel alone has more
	hopBytes   = 4 << 20 // likewise: what is sent, read and written well within the time that is left for an answer
	hopsAtOnce = 4
	localHop   = "local"
)

// way is the way to another gateway. What comes while requests to it are under way goes together in the next one.
type way struct {
	queue []*parcel
	under int // requests
}

// parcel is what one request of a producer has for the owner.
type parcel struct {
	items []item
	whole bool // all of them are taken, or none
	bytes int  // of the items as they are sent
	done  chan struct{}

	word word
	is   bool // the word of the owner
	err  error
}

// word is how a parcel ended with the owner.
type word struct {
	Verdicts []verdict `json:"verdicts,omitempty"`
	Left     bool      `json:"left,omitempty"`  // it is the owner no more
	Full     bool      `json:"full,omitempty"`  // as much waits for Kafka as may
	Error    string    `json:"error,omitempty"` // it is the owner, and Kafka does not take the events from it
}

// forward has another gateway take items. is says that it is the owner, and the answer its word.
func (o *once) forward(ctx context.Context, url string, items []item, whole bool) (_ []verdict, is bool, err error) {
	if o.g.Config.Clients != nil && o.g.PeerToken == "" || url == "" {
		return nil, false, errNoPeerToken
	}
	p := &parcel{items: items, whole: whole, bytes: sentBytes(items), done: make(chan struct{})}
	o.mu.Lock()
	if o.closed {
		o.mu.Unlock()
		return nil, true, publish.ErrClosed
	}
	to := o.ways[url]
	if to == nil {
		to = &way{}
		o.ways[url] = to
	}
	to.queue = append(to.queue, p)
	if to.under < hopsAtOnce {
		to.under++
		o.tasks.Go(func() { o.carry(url, to) })
	}
	o.mu.Unlock()
	select {
	case <-p.done:
	case <-ctx.Done():
		o.mu.Lock()
		defer o.mu.Unlock()
		if i := slices.Index(to.queue, p); i >= 0 {
			to.queue = slices.Delete(to.queue, i, i+1)
		}
		return nil, false, errNoAnswer
	}
	switch {
	case !p.is || p.err != nil:
		return nil, p.is, p.err
	case p.word.Full:
		return nil, true, publish.ErrFull
	case p.word.Error != "":
		return nil, true, errors.New(p.word.Error)
	}
	return p.word.Verdicts, true, nil
}

// carry sends what is queued, until nothing is.
func (o *once) carry(url string, to *way) {
	for {
		o.mu.Lock()
		list := to.next()
		if len(list) == 0 {
			if to.under--; to.under == 0 {
				delete(o.ways, url)
			}
			o.mu.Unlock()
			return
		}
		o.mu.Unlock()
		words, err := o.ask(url, list)
		for i, p := range list {
			switch {
			case err != nil:
				p.err = err
			case words[i].Left:
				p.err = fmt.Errorf("%s does not own the ids any more", url)
			case words[i].Error == "" && !words[i].Full && len(words[i].Verdicts) != len(p.items):
				p.err = fmt.Errorf("%s answers, and is no gateway of this cluster", url)
			default:
				p.word, p.is = words[i], true
			}
			close(p.done)
		}
	}
}

// next takes parcels for a request.
func (t *way) next() []*parcel {
	return portion(&t.queue, [2]int{hopItems, hopBytes}, func(p *parcel) [2]int { return [2]int{len(p.items), p.bytes} })
}

// sentBytes is about how long items are as JSON, where bytes are base64.
func sentBytes(items []item) (n int) {
	const names = 256 // of an item's members, with its places and numbers
	for i := range items {
		in := &items[i]
		n += names + len(in.ID) + len(in.Topic) + base64.StdEncoding.EncodedLen(len(in.Key)) + base64.StdEncoding.EncodedLen(len(in.Value))
		for _, h := range in.Headers {
			n += names/8 + len(h.Key) + base64.StdEncoding.EncodedLen(len(h.Value))
		}
	}
	return n
}

// markOfWhole stands before the items of a parcel that are taken together or not at all. A gateway that does not know it refuses the parcel, since it has no place.
var markOfWhole = item{ID: "whole"}

// ask sends parcels, and returns the word on each.
func (o *once) ask(url string, list []*parcel) ([]word, error) {
	parcels := make([][]item, len(list))
	for i, p := range list {
		if parcels[i] = p.items; p.whole {
			parcels[i] = append([]item{markOfWhole}, p.items...)
		}
	}
	body, err := json.Marshal(parcels)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(o.ctx, hopWithin)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, fmt.Sprintf("%s%s%d", strings.TrimSuffix(url, "/"), hopPath, idPartition), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set(headerHop, o.token())
	res, err := o.peers.Do(r)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(io.LimitReader(res.Body, hopMost))
	if err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		return nil, &peerRefusal{url, res.StatusCode, res.Header.Get(headerGateway)}
	}
	var words []word
	if err := json.Unmarshal(data, &words); err != nil || len(words) != len(list) {
		return nil, fmt.Errorf("%s answers, and is no gateway of this cluster", url)
	}
	return words, nil
}

// hop answers a request of another gateway, and says whether it was one.
func (o *once) hop(w http.ResponseWriter, r *http.Request) bool {
	if r.URL.Path != fmt.Sprint(hopPath, idPartition) || r.Method != http.MethodPost {
		return false
	}
	w.Header().Set(headerGateway, o.g.name)
	if !o.knows(r) {
		forbidden.of("the request is of no gateway that this one knows").write(w)
		return true
	}
	o.mu.Lock()
	owner := o.mine
	o.mu.Unlock()
	if owner == nil {
		conflict.of("this gateway does not own the ids").write(w)
		return true
	}
	// Others' events are bodies too: they count among those that are in memory.
	most := max(hopMost, 2*o.g.Limits.Body) // what a gateway like this one may have to send, as base64
	counted := o.g.counted(&bounded{r: r.Body, left: most, limit: most})
	defer counted.forget()
	data, err := readAll(counted, r.ContentLength)
	if err != nil {
		ofBody(err).write(w)
		return true
	}
	var parcels [][]item
	if err := json.Unmarshal(data, &parcels); err != nil {
		malformed.of("%v", err).write(w)
		return true
	}
	ctx, cancel := context.WithTimeout(r.Context(), hopAnswer)
	defer cancel()
	defer context.AfterFunc(o.g.patience, cancel)()
	writeJSON(w, http.StatusOK, o.takeAll(ctx, owner, parcels))
	return true
}

// takeAll has the owner take parcels: side by side, so that they share a transaction and none suffers from another one.
func (o *once) takeAll(ctx context.Context, owner *owner, parcels [][]item) []word {
	words, errands := make([]word, len(parcels)), make([]*errand, len(parcels))
	for i, items := range parcels {
		whole := len(items) > 0 && items[0].ID == markOfWhole.ID && items[0].Place == (place{})
		if whole {
			items = items[1:]
		}
		err := o.strange(items)
		if err == nil {
			errands[i], err = owner.begin(items, whole)
		}
		words[i].failed(err)
	}
	for i, e := range errands {
		if e != nil {
			var err error
			words[i].Verdicts, err = owner.wait(ctx, e)
			words[i].failed(err)
		}
	}
	return words
}

func (w *word) failed(err error) {
	switch {
	case err == nil:
	case errors.Is(err, publish.ErrFull):
		w.Full = true
	case errors.Is(err, errNotOwner):
		w.Left = true
	default:
		w.Verdicts, w.Error = nil, err.Error()
	}
}

// strange refuses what no gateway would forward.
func (o *once) strange(items []item) error {
	for i := range items {
		if name, ours := strings.CutPrefix(items[i].Topic, o.prefix); !ours || o.g.topics.takes(name) != nil || items[i].Place == (place{}) {
			return fmt.Errorf("the gateway that owns the ids takes no events for topic %s", strconv.Quote(items[i].Topic))
		}
	}
	return nil
}

// knows says whether a request comes from another gateway.
func (o *once) knows(r *http.Request) bool {
	if o.g.PeerToken == "" {
		return o.g.clients.Load() == nil && httpserver.OnLoopback(r) && r.Header.Get("Origin") == ""
	}
	given, known := sha256.Sum256([]byte(r.Header.Get(headerHop))), 0
	for _, token := range strings.Fields(o.g.PeerToken) {
		sum := sha256.Sum256([]byte(token))
		known |= subtle.ConstantTimeCompare(given[:], sum[:])
	}
	return known == 1
}

// token is what this gateway shows to others.
func (o *once) token() string {
	if tokens := strings.Fields(o.g.PeerToken); len(tokens) > 0 {
		return tokens[0]
	}
	return localHop
}
