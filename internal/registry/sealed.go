package registry

import (
	"crypto/ecdh"
	"crypto/hpke"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
)

// A change that is forwarded carries the credentials of who asks for it, and the address of the server that writes may have another owner by
// now. So they are sealed for the process that has written itself into the topic as the writer, which takes the right to write there: its
// record has a public key, made when it started, and the private one never leaves it. Whoever else gets the request can neither read them nor
// have them stand for another change. A server that gives no key, of an older build, gets none: its place is taken.

const (
	headerSealed = "X-Weir-Sealed" // Authorization, sealed
	headerBody   = "X-Weir-Body"   // the hash of the body that it stands for
)

// sealing is the way in which credentials are sealed.
func sealing() (hpke.KEM, hpke.KDF, hpke.AEAD) {
	return hpke.DHKEM(ecdh.X25519()), hpke.HKDFSHA256(), hpke.AES256GCM()
}

// newSealKey makes the key of a server.
func newSealKey() (hpke.PrivateKey, error) {
	kem, _, _ := sealing()
	return kem.GenerateKey()
}

// sealedFor is the change that sealed credentials stand for.
func sealedFor(q *http.Request, uri string) []byte {
	return fmt.Appendf(nil, "weir registry\n%s\n%s\n%s\n%s", q.Method, uri, q.Header.Get(headerWriter), q.Header.Get(headerBody))
}

var errNoSealKey = errors.New("the server that writes is of an older build: no credentials are passed on to it")

// seal puts credentials into a request for a writer. uri is what the writer sees of the request's URL.
func seal(out *http.Request, uri, credentials, key string, body []byte) error {
	kem, kdf, aead := sealing()
	raw, err := base64.StdEncoding.DecodeString(key)
	if err != nil || len(raw) == 0 {
		return errNoSealKey
	}
	public, err := kem.NewPublicKey(raw)
	if err != nil {
		return errNoSealKey
	}
	out.Header.Set(headerBody, hashOf(body))
	sealed, err := hpke.Seal(public, kdf, aead, sealedFor(out, uri), []byte(credentials))
	if err != nil {
		return err
	}
	out.Header.Set(headerSealed, base64.StdEncoding.EncodeToString(sealed))
	return nil
}

// unseal is a request with the credentials that were sealed for this server. Where they were not, or for another change, it has none.
func unseal(q *http.Request, key hpke.PrivateKey) *http.Request {
	given := q.Header.Get(headerSealed)
	if given == "" {
		return q
	}
	short := *q
	short.Header = q.Header.Clone()
	short.Header.Del("Authorization")
	short.Header.Del(headerSealed)
	_, kdf, aead := sealing()
	if sealed, err := base64.StdEncoding.DecodeString(given); err == nil && q.Header.Get(headerBody) != "" {
		if credentials, err := hpke.Open(key, kdf, aead, sealedFor(q, q.URL.RequestURI()), sealed); err == nil {
			short.Header.Set("Authorization", string(credentials))
		}
	}
	return &short
}

func hashOf(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}
