package gateway

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/kafka"
)

// A timestamp that the topic does not take is refused at the door, alone: the broker would refuse all that came with it. Where the broker stamps records itself, the
// answer does not say another time.
//
// Mutations seen to fail it: no bound; a bound where the broker stamps; the producer's time in the answer.
func TestATimestampIsOneThatTheTopicTakes(t *testing.T) {
	r := newRig(t, nil)
	day := fmt.Sprint((24 * time.Hour).Milliseconds())
	for name, config := range map[string]map[string]string{
		"order.late.v1":    {"message.timestamp.before.max.ms": day, "message.timestamp.after.max.ms": "3600000"},
		"order.old.v1":     {"message.timestamp.difference.max.ms": day},
		"order.free.v1":    {"message.timestamp.before.max.ms": "9223372036854775807", "message.timestamp.after.max.ms": "9223372036854775807"},
		"order.stamped.v1": {"message.timestamp.type": "LogAppendTime", "message.timestamp.before.max.ms": "1", "message.timestamp.after.max.ms": "1"},
	} {
		r.create(name, config)
	}
	now := time.Now()
	for _, c := range []struct {
		topic string
		at    time.Duration
		want  string // "" is taken
	}{
		{"order.late.v1", 59 * time.Minute, ""}, {"order.late.v1", 2 * time.Hour, "after.max.ms"}, {"order.late.v1", -23 * time.Hour, ""}, {"order.late.v1", -25 * time.Hour, "before.max.ms"},
		{"order.old.v1", 23 * time.Hour, ""}, {"order.old.v1", 25 * time.Hour, "after.max.ms"}, {"order.old.v1", -25 * time.Hour, "before.max.ms"},
		{"order.free.v1", 10 * 365 * 24 * time.Hour, ""}, {"order.free.v1", -20 * 365 * 24 * time.Hour, ""},
		{"order.stamped.v1", 48 * time.Hour, ""},
	} {
		stamp := now.Add(c.at).UTC().Format(time.RFC3339Nano)
		_, answer, _ := r.post("/v3/clusters/"+r.cluster()+"/topics/"+c.topic+"/records", fmt.Sprintf(`{"key":{"data":"a"},"value":{"data":1},"timestamp":%q}{"key":{"data":"a"},"value":{"data":2}}`, stamp))
		taken := strings.Count(answer, `"error_code":200`)
		switch {
		case c.want == "" && taken != 2, c.want != "" && (taken != 1 || !strings.Contains(answer, `"error_code":42207`) || !strings.Contains(answer, c.want)):
			t.Errorf("%s, %s: %s", c.topic, c.at, answer)
		case strings.Contains(answer, `"timestamp"`) == (c.topic == "order.stamped.v1"):
			t.Errorf("%s: %s", c.topic, answer)
		}
	}
}

func (r *rig) create(name string, config map[string]string) {
	r.t.Helper()
	if err := r.client.CreateTopics(r.t.Context(), []kafka.TopicSpec{{Name: name, Partitions: 1, ReplicationFactor: 1, Config: config}}); err != nil {
		r.t.Fatal(err)
	}
}
