package letters

import (
	"context"
	"time"
)

// Group are the open letters of one fingerprint.
type Group struct {
	Fingerprint string    `json:"fingerprint"`
	System      string    `json:"system"` // what has written them: weir, kafka-streams, spring, ...
	Topology    string    `json:"topology"`
	Node        string    `json:"node"`
	Class       string    `json:"class"`  // the kind of the failure, in one word
	Reason      string    `json:"reason"` // the kind and the message of the example
	Count       int64     `json:"count"`
	First       time.Time `json:"first"` // when the first of them failed
	Last        time.Time `json:"last"`
	FirstFailed time.Time `json:"first_failed"` // when any of their records failed first, as far as the letters say
	Parked      int64     `json:"parked"`       // records of their keys that wait for them
	Example     At        `json:"example"`      // the newest letter
}

// At is a place in the topic of dead letters.
type At struct {
	Partition int32 `json:"partition"`
	Offset    int64 `json:"offset"`
}

// Listing is what is in a topic of dead letters.
type Listing struct {
	Groups   []Group // of open letters, the largest first
	Open     int64
	Resolved int64 // letters that are still there, and were redriven or discarded
	// NoLetters is how many records of the topic are no dead letters.
	NoLetters int64
}

// maxGroups bounds the memory of a listing. Letters of more fingerprints are in one group together.
const maxGroups = 10_000

// Others is the fingerprint of letters that have no group of their own, since there are too many.
const Others = "others"

// List groups the open letters of a selection by fingerprint. Its memory depends on the number of groups, not on that of letters.
func (t *Tool) List(ctx context.Context, s Selection) (*Listing, error) {
	reader := t.reader()
	defer reader.Close()
	p, err := t.look(ctx, reader)
	if err != nil {
		return nil, err
	}
	y, err := t.count(ctx, reader, p, s)
	if err != nil {
		return nil, err
	}
	return y.listing(), nil
}
