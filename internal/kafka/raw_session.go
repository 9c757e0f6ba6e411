package kafka

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// saslTrace remembers the last request of the handshakes and its answer, as they pass over the connection. The answer to
// the last SaslAuthenticate says how long the session lasts (KIP-368). sarama knows that, too, but tells nobody.
type saslTrace struct {
	key, version int16
	answer       []byte
}

// maxTrace is more than any answer of the handshakes that matters. ApiVersions' is longer, and cut off.
const maxTrace = 64 << 10

// wrote is called with each request; sarama writes one at once.
func (s *saslTrace) wrote(p []byte) {
	if len(p) < 8 {
		return
	}
	s.key, s.version = int16(binary.BigEndian.Uint16(p[4:])), int16(binary.BigEndian.Uint16(p[6:]))
	s.answer = s.answer[:0]
}

func (s *saslTrace) read(p []byte) {
	s.answer = append(s.answer, p[:min(len(p), maxTrace-len(s.answer))]...)
}

// sessionLifetime is how long the broker lets the session last, 0 for ever.
func (s *saslTrace) sessionLifetime() (time.Duration, error) {
	if s.key != int16(kmsg.SASLAuthenticate) {
		return 0, nil // no SASL
	}
	res := kmsg.NewPtrSASLAuthenticateResponse()
	res.Version = s.version
	body := s.answer
	if len(body) < 8 {
		return 0, fmt.Errorf("the answer to the login is of %d bytes", len(body))
	}
	body = body[8:] // its length and the correlation id
	if res.IsFlexible() {
		var err error
		if body, err = skipTags(body); err != nil {
			return 0, err
		}
	}
	if err := res.ReadFrom(body); err != nil {
		return 0, fmt.Errorf("decode the answer to the login: %w", err)
	}
	return time.Duration(max(0, res.SessionLifetimeMillis)) * time.Millisecond, nil
}
