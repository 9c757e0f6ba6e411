package sample

import (
	"encoding/json"
	"math/big"
	"strconv"
	"strings"
)

// bounds are those of a number; nil is none.
type bounds struct {
	least, most           *big.Rat
	aboveLeast, belowMost bool     // the bound itself is out
	step                  *big.Rat // it is a multiple of
	whole                 bool
}

// rat is a number as it is written, nil for none, and for one that would be work to calculate with.
func rat(text string) *big.Rat {
	if _, exponent, ok := strings.Cut(strings.ToLower(text), "e"); ok {
		if n, err := strconv.Atoi(exponent); err != nil || n < -400 || n > 400 {
			return nil
		}
	}
	r, ok := new(big.Rat).SetString(text)
	if !ok || len(text) > 1000 {
		return nil
	}
	return r
}

// atLeast and atMost narrow the bounds.
func (b *bounds) atLeast(n *big.Rat, out bool) {
	if n != nil && (b.least == nil || n.Cmp(b.least) > 0 || n.Cmp(b.least) == 0 && out) {
		b.least, b.aboveLeast = n, out
	}
}

func (b *bounds) atMost(n *big.Rat, out bool) {
	if n != nil && (b.most == nil || n.Cmp(b.most) < 0 || n.Cmp(b.most) == 0 && out) {
		b.most, b.belowMost = n, out
	}
}

func (b *bounds) takes(n *big.Rat) bool {
	if b.least != nil && (n.Cmp(b.least) < 0 || b.aboveLeast && n.Cmp(b.least) == 0) {
		return false
	}
	return b.most == nil || n.Cmp(b.most) < 0 || !b.belowMost && n.Cmp(b.most) == 0
}

// within is the nth number within the bounds, counted from prefer on or, where that is out, from the bound that it is beyond.
func (b *bounds) within(prefer int64, nth int) *big.Rat {
	step := big.NewRat(1, 1)
	if b.step != nil && b.step.Sign() > 0 {
		step = b.step
		if b.whole {
			step = new(big.Rat).SetInt(step.Num()) // the least whole number that is a multiple
		}
	}
	multiple := func(of *big.Rat, up bool) *big.Rat {
		q := new(big.Rat).Quo(of, step)
		n, rest := new(big.Int).DivMod(q.Num(), q.Denom(), new(big.Int)) // rounded down
		if up && rest.Sign() != 0 {
			n.Add(n, big.NewInt(1))
		}
		return new(big.Rat).Mul(new(big.Rat).SetInt(n), step)
	}
	moved := func(from *big.Rat, steps int64) *big.Rat {
		return new(big.Rat).Add(from, new(big.Rat).Mul(step, big.NewRat(steps, 1)))
	}
	start := multiple(big.NewRat(prefer, 1), true)
	if b.least != nil && start.Cmp(b.least) <= 0 && !b.takes(start) {
		if start = multiple(b.least, true); !b.takes(start) {
			start = moved(start, 1)
		}
	}
	if b.most != nil && start.Cmp(b.most) >= 0 && !b.takes(start) {
		if start = multiple(b.most, false); !b.takes(start) {
			start = moved(start, -1)
		}
	}
	for _, n := range []*big.Rat{moved(start, int64(nth)), moved(start, -int64(nth))} {
		if b.takes(n) {
			return n
		}
	}
	if b.least != nil && b.most != nil && !b.whole && b.step == nil && b.least.Cmp(b.most) < 0 { // the middle, and the middle below it
		part := new(big.Rat).SetFrac(big.NewInt(1), new(big.Int).Lsh(big.NewInt(1), uint(min(nth, 60)+1)))
		return new(big.Rat).Add(b.least, part.Mul(part, new(big.Rat).Sub(b.most, b.least)))
	}
	return start
}

// usual is a number that is made up where no bound is in the way.
func (c *choices) usual() int64 { return []int64{1, 2, 3, 0, -1}[c.one(5)] }

// decimal is a number as JSON has it.
func decimal(n *big.Rat) json.Number {
	if n.IsInt() {
		return json.Number(n.Num().String())
	}
	digits, exact := n.FloatPrec()
	if !exact {
		digits = 30
	}
	return json.Number(n.FloatString(digits))
}
