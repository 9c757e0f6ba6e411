package registry

import (
	"container/list"
	"context"
	"sync"
	"time"
)

// fetches are the schemas that were asked for by what does not change: each is fetched once, by a goroutine of its own, however many
// wait for it and however soon they give up.
type fetches struct {
	most     int
	notFound time.Duration

	mu    sync.Mutex
	all   map[string]*list.Element // of *fetch, each in one of these, the most recently used first
	found list.List
	other list.List // under way, or failed: apart, so that many of these push out none that was found
	work  sync.WaitGroup
}

type fetch struct {
	key   string
	done  chan struct{} // closed when what follows is known
	found *Registered
	err   error
	until time.Time // an err is not asked for again before
	in    *list.List
}

func newFetches(most int, notFound time.Duration) *fetches {
	return &fetches{most: most, notFound: notFound, all: map[string]*list.Element{}}
}

// get returns what was fetched under a key, or has it fetched. get may be called again before anything is known.
func (f *fetches) get(ctx context.Context, key string, get func() (*Registered, error)) (*Registered, error) {
	one := f.begin(key, get)
	select {
	case <-one.done:
		return one.found, one.err
	default:
	}
	select {
	case <-one.done:
		return one.found, one.err
	case <-ctx.Done():
		return nil, away("get schema "+key, context.Cause(ctx))
	}
}

func (f *fetches) begin(key string, get func() (*Registered, error)) *fetch {
	f.mu.Lock()
	defer f.mu.Unlock()
	if at := f.all[key]; at != nil {
		one := at.Value.(*fetch)
		if one.until.IsZero() || time.Now().Before(one.until) {
			one.in.MoveToFront(at)
			return one
		}
		f.drop(at)
	}
	one := &fetch{key: key, done: make(chan struct{})}
	f.put(one, &f.other)
	f.work.Go(func() {
		found, err := get()
		f.mu.Lock()
		defer f.mu.Unlock()
		if one.found, one.err = found, err; err != nil {
			one.until = time.Now().Add(f.notFound)
		} else if at := f.all[key]; at != nil && at.Value == one { // it was not dropped
			f.drop(at)
			f.put(one, &f.found)
		}
		close(one.done)
	})
	return one
}

// put puts a fetch at the front of a list, which then loses what is beyond the most.
func (f *fetches) put(one *fetch, in *list.List) {
	one.in = in
	f.all[one.key] = in.PushFront(one)
	for in.Len() > f.most {
		f.drop(in.Back())
	}
}

// drop forgets a fetch; who waits for it still gets it.
func (f *fetches) drop(at *list.Element) {
	one := at.Value.(*fetch)
	delete(f.all, one.key)
	one.in.Remove(at)
}

func (f *fetches) wait() { f.work.Wait() }
