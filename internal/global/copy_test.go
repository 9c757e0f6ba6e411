package global

import (
	"fmt"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/weirstream/weir/codecs"
)

type profile struct{ Tags []string }

// A Copy is what a map would be, in number and size too, whatever is written to it.
//
// Mutations, each seen to fail it: remove that leaves the size; Put that counts a replaced value twice, or keeps the old value
// where the new one cannot be decoded.
func TestACopyIsAMapOfTheLastValues(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c, model := New(codecs.Int64(), nil), map[string]string{}
		for range rapid.IntRange(0, 50).Draw(t, "n") {
			key := rapid.SampledFrom([]string{"", "a", "b", "long key"}).Draw(t, "key")
			switch value := rapid.SampledFrom([]string{"", "1", "-22", "bad"}).Draw(t, "value"); value {
			case "":
				delete(model, key)
				if err := c.Put(key, nil); err != nil {
					t.Fatal(err)
				}
			default:
				model[key] = value
				if err := c.Put(key, []byte(value)); (err != nil) != (value == "bad") {
					t.Fatalf("%s: %v", value, err)
				}
			}
			size := 0
			for k, v := range model {
				size += len(k) + len(v)
			}
			if c.Len() != len(model) || c.Bytes() != int64(size) {
				t.Fatalf("%d keys of %d bytes, want %d of %d", c.Len(), c.Bytes(), len(model), size)
			}
			want, there := model[key]
			got, ok, err := c.Get(key)
			if ok != (there && want != "bad") || (err != nil) != (want == "bad") || ok && fmt.Sprint(got) != want {
				t.Fatalf("%q is %v, %v, %v, want %q", key, got, ok, err, want)
			}
		}
	})
}

// What somebody got is his own, what was written is the copy's own, and a null stands for no value.
//
// Mutations, each seen to fail it: flat for every type; data that is not copied; ErrNull as an error.
func TestValuesOfACopyAreNotShared(t *testing.T) {
	c := New(codecs.JSON[profile](), nil)
	data := []byte(`{"Tags":["x"]}`)
	_ = c.Put("k", data)
	copy(data, "garbage")
	v, _, err := c.Get("k")
	if err != nil {
		t.Fatal(err)
	}
	v.Tags[0] = "changed"
	if v, _, err := c.Get("k"); err != nil || v.Tags[0] != "x" {
		t.Errorf("%v, %v", v, err)
	}
	if err := c.Put("k", []byte("null")); err != nil || c.Len() != 0 {
		t.Errorf("null: %v, %d keys", err, c.Len())
	}
}

// Many look up while one writes.
//
// Mutation seen to fail it, with the race detector: Get without its lock.
func TestACopyIsReadWhileItIsWritten(t *testing.T) {
	c := New(codecs.Int64(), nil)
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for range 5000 {
				if v, ok, err := c.Get("k"); err != nil || ok && v != 7 {
					t.Error(v, err)
				}
			}
		})
	}
	for i := range 5000 {
		value := []byte("7")
		if i%2 == 0 {
			value = nil
		}
		if err := c.Put("k", value); err != nil {
			t.Fatal(err)
		}
	}
	readers.Wait()
}

// A key that is none is left out.
//
// Mutation seen to fail it: Put without its look at the key.
func TestACopyHasNoKeysThatAreNone(t *testing.T) {
	c := New(codecs.Int64(), func(key string) error {
		_, err := codecs.Int64().Parse([]byte(key))
		return err
	})
	if err := c.Put("abc", []byte("1")); err == nil || c.Len() != 0 {
		t.Errorf("%v, %d keys", err, c.Len())
	}
	if err := c.Put("7", []byte("1")); err != nil || c.Len() != 1 {
		t.Errorf("%v, %d keys", err, c.Len())
	}
}
