package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// stillScript is a reader of one partition that delivers what a script says, and hears of standstills.
type stillScript struct {
	deliver func(Batch)
	began   time.Time
	heard   []string
}

func (s *stillScript) Start(_ TopicPartition, _ Position, deliver func(Batch)) { s.deliver = deliver }
func (s *stillScript) Stop(TopicPartition)                                     {}
func (s *stillScript) Release(TopicPartition, int)                             {}

func (s *stillScript) standsStill(_ context.Context, _ TopicPartition, position, end int64) {
	s.heard = append(s.heard, fmt.Sprintf("%v: %d of %d", time.Since(s.began), position, end))
}

// TestAScanLooksIntoAStandstillAndNothingElse: progress, and a caller that takes its time, are no standstill; answers without progress are one.
//
// Mutations: Reset also where the position is the same; no Reset after what each took; stillAgain is never.
func TestAScanLooksIntoAStandstillAndNothingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stillScript{began: time.Now()}
		tp := TopicPartition{Topic: "t"}
		ended := make(chan error, 1)
		go func() {
			ended <- Scan(t.Context(), s, tp, 0, 4, func(r *Record) error {
				if r.Offset == 1 {
					time.Sleep(time.Hour) // it is written somewhere
				}
				return nil
			})
		}()
		synctest.Wait()
		at := func(after time.Duration, position int64, records ...Record) {
			time.Sleep(time.Until(s.began.Add(after)))
			s.deliver(Batch{TopicPartition: tp, Records: records, Position: position})
			synctest.Wait()
		}
		at(4*time.Second, 1, Record{Offset: 0})
		at(8*time.Second, 2, Record{Offset: 1}) // until an hour later
		hour := time.Hour + 8*time.Second
		at(hour+4*time.Second, 2)
		at(hour+6*time.Second, 2) // asked for at +5 s
		at(hour+2*time.Minute, 3, Record{Offset: 2})
		at(hour+2*time.Minute+4*time.Second, 4, Record{Offset: 3})
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		want := []string{"1h0m13s: 2 of 4", "1h1m13s: 2 of 4"}
		if !slices.Equal(s.heard, want) {
			t.Errorf("it was looked into at %q, want %q", s.heard, want)
		}
	})
}

func TestAScanThatStandsStillEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stillScript{began: time.Now()}
		ctx, stop := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Hour, func() { stop(errors.New("enough")) })
		if err := Scan(ctx, s, TopicPartition{Topic: "t"}, 0, 1, func(*Record) error { return nil }); err == nil || err.Error() != "enough" {
			t.Error(err)
		}
	})
}
