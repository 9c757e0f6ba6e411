package processors

import (
	"testing"

	"github.com/weirstream/weir/internal/simkafka"
	"github.com/weirstream/weir/internal/system"
)

// A topic of recorded resets that would forget them is a refusal where a start needs to know them, and nobody's business elsewhere.
//
// Mutation seen to fail it: begin without the refusal (the task is opened again for ever).
func TestRecordedResetsThatAreForgottenRefuseAStartThatNeedsThem(t *testing.T) {
	bubble(t, 1, simkafka.Config{}, func(g *rig) {
		g.begun()
		g.topic(system.Jobs.Name, 1, map[string]string{"cleanup.policy": "delete"})
		g.start()
		g.stop()
		g.cluster.SetOffset(jobGroup, at(jobIn, 0), 1)
		g.refusedFor(g.run(), "whether that was recorded is not known: topic _weir.jobs has cleanup.policy=delete: "+
			"recorded resets would be deleted with time; set it with kafka-configs.sh --bootstrap-server BROKERS --alter --entity-type topics --entity-name _weir.jobs --add-config cleanup.policy=compact")
	})
}
