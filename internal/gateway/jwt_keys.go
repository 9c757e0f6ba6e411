package gateway

import (
	"crypto/rsa"
	"encoding/json"
	"slices"

	"github.com/go-jose/go-jose/v4"
)

// leastRSA is how many bits a key of RSA has that signs tokens (RFC 7518, section 3.3).
const leastRSA = 2048

// usableKeys is a set of keys (RFC 7517) without those that sign no tokens or are not understood, which the RFC has ignored (section 5): the library refuses a whole set for one of
// them, and so all tokens. Certificates of a key are left out, since nothing is verified with them. What is no set of keys, or has none that is usable, is left as it is: the library
// says what is wrong with it.
func usableKeys(body []byte) []byte {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if json.Unmarshal(body, &set) != nil {
		return body
	}
	var usable struct {
		Keys []map[string]json.RawMessage `json:"keys"`
	}
	for _, raw := range set.Keys {
		if key := usableKey(raw); key != nil {
			usable.Keys = append(usable.Keys, key)
		}
	}
	if usable.Keys == nil {
		return body
	}
	body, _ = json.Marshal(usable) // it was JSON
	return body
}

// usableKey is a public key that may sign tokens, without its certificates; nil for another one.
func usableKey(raw json.RawMessage) map[string]json.RawMessage {
	var key map[string]json.RawMessage
	var says struct {
		Use        string   `json:"use"`
		Operations []string `json:"key_ops"`
	}
	if json.Unmarshal(raw, &key) != nil || json.Unmarshal(raw, &says) != nil {
		return nil
	}
	if says.Use != "" && says.Use != "sig" || says.Operations != nil && !slices.Contains(says.Operations, "verify") {
		return nil
	}
	for _, name := range []string{"x5c", "x5t", "x5t#S256", "x5u"} {
		delete(key, name)
	}
	bare, _ := json.Marshal(key) // it was JSON
	var read jose.JSONWebKey
	if read.UnmarshalJSON(bare) != nil || !read.Valid() || !read.IsPublic() {
		return nil
	}
	if public, ok := read.Key.(*rsa.PublicKey); ok && public.N.BitLen() < leastRSA {
		return nil
	}
	return key
}
