package registry

import (
	"encoding/json"
	"errors"
	"net"

	"github.com/weirstream/weir/internal/jsonscan"
	"github.com/weirstream/weir/internal/kafka"
)

// look answers a question to the state, and plan makes a change of it: its answer holds when its records are in the topic. They may
// be called several times.
type (
	look func(view) (any, error)
	plan func(view) (any, []kafka.Outgoing, error)
)

// decoded reads a body. Members that are not known are left out, as theirs does.
func decoded[T any](body []byte) (given T, err error) {
	if err := json.Unmarshal(body, &given); err != nil {
		return given, badJSON(jsonscan.Plain(err))
	}
	return given, nil
}

// notDialled says whether a call failed before anything was sent.
func notDialled(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}
