package gateway

import (
	"cmp"
	"math"
	"strconv"
	"time"
)

// times is which timestamps a topic takes.
type times struct {
	brokers       bool          // the broker gives each record its own
	before, after time.Duration // how far from now one may be, 0 for as far as it likes
}

// clockMargin is how far the brokers' clocks may be from the gateway's.
const clockMargin = 5 * time.Second

// timesOf reads a topic's settings, and those of brokers before Kafka 3.6, which have one bound for both.
func timesOf(config map[string]string) times {
	bound := func(name string) time.Duration {
		ms, err := strconv.ParseInt(cmp.Or(config["message.timestamp."+name+".max.ms"], config["message.timestamp.difference.max.ms"]), 10, 64)
		if err != nil || ms > math.MaxInt64/int64(time.Millisecond) {
			return 0
		}
		d := time.Duration(ms) * time.Millisecond
		return max(d-min(clockMargin, d/2), 1)
	}
	return times{brokers: config["message.timestamp.type"] == "LogAppendTime", before: bound("before"), after: bound("after")}
}

// look refuses a timestamp that the topic does not take. The broker would refuse it too, but with all that came with it in one batch, of other producers as well.
func (t times) look(at, now time.Time) *Problem {
	switch ahead := at.Sub(now); {
	case at.UnixMilli() < 0: // -1 is none
		return invalid.of("the timestamp is %s, and that of a record is not before 1970", at.Format(time.RFC3339Nano)).todo("mend the timestamp, or leave it out: then it is the time of arrival")
	case t.brokers:
	case t.after > 0 && ahead > t.after:
		return invalid.of("the timestamp %s is in the future, by more than the topic's message.timestamp.after.max.ms allows", at.Format(time.RFC3339Nano)).
			todo("mend the timestamp or the producer's clock, or leave it out: then it is the time of arrival")
	case t.before > 0 && -ahead > t.before:
		return invalid.of("the timestamp %s is further in the past than the topic's message.timestamp.before.max.ms allows", at.Format(time.RFC3339Nano)).
			todo("mend the timestamp, leave it out, or have the topic's setting raised")
	}
	return nil
}
