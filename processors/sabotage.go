//go:build weirfault

package processors

import (
	"context"
	"math"
	"slices"
	"strings"

	"github.com/weirstream/weir/deadletter"
	"github.com/weirstream/weir/internal/fault"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/offsets"
	"github.com/weirstream/weir/internal/system"
)

// Tests break one of the engine's rules and demand to see what follows. The engine itself is the one that users run: what
// lies to it, or does something else than it asked for, is the wire.

// saboteur is a wire of which some is altered. What is nil is as it was.
type saboteur struct {
	Wire
	sink      func(context.Context, Sink) Sink
	fetcher   func(Fetcher) Fetcher
	group     func(name string, g Group) Group
	committed func(kafka.CommittedOffset) kafka.CommittedOffset
	ends      func(asked int32, end kafka.EpochEnd) kafka.EpochEnd
	topic     func(kafka.TopicInfo) kafka.TopicInfo
}

// sabotages is how each rule is broken.
var sabotages = map[fault.Rule]func(Wire) saboteur{
	fault.OffsetsInTransaction:     func(w Wire) saboteur { return outside(w, &outsideSink{offsets: true}) },
	fault.OutputsInTransaction:     func(w Wire) saboteur { return outside(w, &outsideSink{appends: isOutput}) },
	fault.DeadLettersInTransaction: func(w Wire) saboteur { return outside(w, &outsideSink{appends: isLetter}) },
	fault.IDsInTransaction: func(w Wire) saboteur {
		return outside(w, &outsideSink{appends: func(r *kafka.Outgoing) bool { return strings.HasSuffix(r.Topic, "-ids-changelog") }})
	},
	fault.DelaysInTransaction: func(w Wire) saboteur { return outside(w, &outsideSink{appends: isDelayed}) },
	fault.ParkedWithState: func(Wire) saboteur {
		return saboteur{sink: func(_ context.Context, s Sink) Sink { return droppingSink{s, isParked} }}
	},
	fault.HeedReleases: func(Wire) saboteur {
		return altering(func(b *kafka.Batch) {
			records := append([]kafka.Record(nil), b.Records...)
			for i := range records {
				records[i].Headers = slices.DeleteFunc(slices.Clone(records[i].Headers), func(h kafka.Header) bool { return h.Key == deadletter.HeaderReleases })
			}
			b.Records = records
		})
	},
	fault.HeedPauses:  func(Wire) saboteur { return unheard(func(r *kafka.Record) bool { return r.Value != nil }) },
	fault.HeedResumes: func(Wire) saboteur { return unheard(func(r *kafka.Record) bool { return r.Value == nil }) },
	fault.StoreAfterCommit: func(Wire) saboteur {
		return saboteur{sink: func(_ context.Context, s Sink) Sink {
			return &hastySink{Sink: s, ends: map[kafka.TopicPartition]logEnd{}}
		}}
	},
	fault.CheckpointWithData: func(Wire) saboteur {
		return saboteur{sink: func(_ context.Context, s Sink) Sink { return farSink{s} }}
	},
	fault.FenceZombies: func(Wire) saboteur {
		return saboteur{group: func(name string, g Group) Group { return anonymousGroup{g, name} }}
	},
	fault.RestoreToPosition: func(Wire) saboteur {
		return altering(func(b *kafka.Batch) {
			if isChangelog(b.Topic) && b.Err == nil {
				b.Position = -1
				for i := range b.Records {
					b.Position = b.Records[i].Offset + 1
				}
			}
		})
	},
	fault.CommitBelowUnfinished: func(Wire) saboteur {
		read := &deliveredUpTo{upTo: map[kafka.TopicPartition]int64{}}
		return saboteur{
			sink:    func(_ context.Context, s Sink) Sink { return eagerSink{s, read} },
			fetcher: func(f Fetcher) Fetcher { return eagerFetcher{f, read} },
		}
	},
	fault.BlameNoRecord: func(Wire) saboteur {
		return saboteur{sink: func(_ context.Context, s Sink) Sink { return blamingSink{s} }}
	},
	fault.BlameTheEmitter: func(Wire) saboteur {
		return appending(func(r *kafka.Outgoing) {
			if isOutput(r) {
				r.Origin &^= (1<<originNodes - 1) << (originOffsets + originSlots) // the first node of the sub-graph
			}
		})
	},
	fault.CountWholeRanges: func(Wire) saboteur {
		return altering(func(b *kafka.Batch) {
			records := append([]kafka.Record(nil), b.Records...)
			for i := range records {
				if x := records[i].Excess; x != nil {
					alone := *x
					alone.Records = 1
					records[i].Excess = &alone
				}
			}
			b.Records = records
		})
	},
	fault.PositionsWithState: func(Wire) saboteur {
		return appending(func(r *kafka.Outgoing) {
			if r.Origin == changelogOrigin {
				r.Headers = nil
			}
		})
	},
	fault.JudgeOffsets: func(Wire) saboteur {
		return saboteur{committed: func(at kafka.CommittedOffset) kafka.CommittedOffset {
			if at.Offset < 0 {
				return at
			}
			mark, _ := offsets.ParseMark(at.Metadata)
			mark.Set, mark.State = false, math.MaxInt64 // the state may be as far ahead as it likes
			at.Metadata = mark.String()
			return at
		}}
	},
	fault.MarkChangelogs: func(Wire) saboteur {
		return saboteur{committed: func(at kafka.CommittedOffset) kafka.CommittedOffset {
			if mark, ok := offsets.ParseMark(at.Metadata); ok {
				mark.Logs, mark.Cut = nil, false
				at.Metadata = mark.String()
			}
			return at
		}}
	},
	fault.CheckEpochs: func(Wire) saboteur {
		s := starting(func(p *kafka.Position) { p.LeaderEpoch = -1 })
		s.ends = func(asked int32, _ kafka.EpochEnd) kafka.EpochEnd {
			return kafka.EpochEnd{LeaderEpoch: asked, Offset: math.MaxInt64}
		}
		return s
	},
	fault.CheckTopicIDs: func(Wire) saboteur {
		s := starting(func(p *kafka.Position) { p.TopicID = "" })
		s.topic = func(info kafka.TopicInfo) kafka.TopicInfo {
			if !isChangelog(info.Name) {
				info.ID = ""
			}
			return info
		}
		return s
	},
	fault.ReadWhatCopiesLack: func(Wire) saboteur {
		last := &lastReader{of: map[kafka.TopicPartition]Fetcher{}}
		return saboteur{fetcher: func(f Fetcher) Fetcher { return trustingFetcher{f, last} }}
	},
	fault.CopyCommitted: func(Wire) saboteur {
		n := 0
		return saboteur{fetcher: func(f Fetcher) Fetcher {
			if n++; n == copiesFetcher {
				f.(interface{ ReadUncommitted() }).ReadUncommitted()
			}
			return f
		}}
	},
	fault.EveryOutput: func(Wire) saboteur { return losing(isOutput) },
	fault.EveryLetter: func(Wire) saboteur { return losing(isLetter) },
}

// sabotaged is the wire with the rules broken that package fault says are broken.
func sabotaged(w Wire) Wire {
	for _, rule := range fault.Rules {
		if fault.Broken(rule) {
			s := sabotages[rule](w)
			s.Wire = w
			w = &s
		}
	}
	return w
}

// unheard leaves records out of what operators want.
func unheard(which func(*kafka.Record) bool) saboteur {
	return altering(func(b *kafka.Batch) {
		if b.Topic != system.Desired.Name {
			return
		}
		heard := b.Records[:0:0]
		for _, r := range b.Records {
			if !which(&r) {
				heard = append(heard, r)
			}
		}
		b.Records = heard
	})
}

// What a record is that the engine appends.
func isOutput(r *kafka.Outgoing) bool { return r.Origin >= 0 && r.Origin&originDLQ == 0 }
func isLetter(r *kafka.Outgoing) bool { return r.Origin >= 0 && r.Origin&originDLQ != 0 }

func isDelayed(r *kafka.Outgoing) bool {
	return isLetter(r) && slices.ContainsFunc(r.Headers, func(h kafka.Header) bool { return h.Key == deadletter.HeaderDue })
}

// isParked is a parked record, and not what is known of its key.
func isParked(r *kafka.Outgoing) bool {
	return strings.HasSuffix(r.Topic, "-parked-changelog") && strings.HasPrefix(string(r.Key), "r") && r.Value != nil
}

func isChangelog(topic string) bool { return strings.HasSuffix(topic, "-changelog") }

func (s *saboteur) NewSink(ctx context.Context, transactionalID string) (Sink, error) {
	sink, err := s.Wire.NewSink(ctx, transactionalID)
	if err != nil || s.sink == nil {
		return sink, err
	}
	return s.sink(ctx, sink), nil
}

func (s *saboteur) Join(cfg kafka.GroupConfig, handler kafka.GroupHandler) (Group, error) {
	g, err := s.Wire.Join(cfg, handler)
	if err != nil || s.group == nil {
		return g, err
	}
	return s.group(cfg.Group, g), nil
}

func (s *saboteur) NewFetcher() (Fetcher, error) {
	f, err := s.Wire.NewFetcher()
	if err != nil || s.fetcher == nil {
		return f, err
	}
	return s.fetcher(f), nil
}

func (s *saboteur) Committed(ctx context.Context, group string, tps []kafka.TopicPartition) (map[kafka.TopicPartition]kafka.CommittedOffset, error) {
	found, err := s.Wire.Committed(ctx, group, tps)
	if s.committed != nil {
		for tp, at := range found {
			found[tp] = s.committed(at)
		}
	}
	return found, err
}

func (s *saboteur) EpochEnds(ctx context.Context, epochs map[kafka.TopicPartition]int32) (map[kafka.TopicPartition]kafka.EpochEnd, error) {
	found, err := s.Wire.EpochEnds(ctx, epochs)
	if s.ends != nil {
		for tp, end := range found {
			found[tp] = s.ends(epochs[tp], end)
		}
	}
	return found, err
}

func (s *saboteur) Topics(ctx context.Context, names []string) (map[string]kafka.TopicInfo, error) {
	found, err := s.Wire.Topics(ctx, names)
	if s.topic != nil {
		for name, info := range found {
			found[name] = s.topic(info)
		}
	}
	return found, err
}

// anonymousGroup commits in the name of no member, as programs without a group do: brokers fence nobody then.
type anonymousGroup struct {
	Group
	name string
}

func (g anonymousGroup) Member() (kafka.Member, bool) {
	return kafka.Member{Group: g.name, Generation: -1}, true
}
