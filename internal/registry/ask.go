package registry

import (
	"encoding/json"
	"errors"
	"net"
	"net/http"
)

// requestOf reads the schema in a body. Members that are not known are left out, as theirs does.
func requestOf(q *http.Request) (*Request, error) {
	var given Request
	if err := json.NewDecoder(q.Body).Decode(&given); err != nil {
		return nil, badJSON(err)
	}
	return &given, nil
}

// notDialled says whether a call failed before anything was sent.
func notDialled(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}
