package intrinsic

import (
	"encoding/hex"
	"errors"

	"callfleet/internal/jsonpath/value"
)

func mathAdd(args []value.Value) (value.Value, error) {
	a, err := integer(args, 0)
	if err != nil {
		return value.Value{}, err
	}
	b, err := integer(args, 1)
	if err != nil {
		return value.Value{}, err
	}
	return value.Int(a + b), nil
}

var errNoRandomness = errors.New("there is no source of randomness")

// mathRandom returns an integer from the first argument, inclusive, to the
// second, exclusive. The third is a seed: the same seed gives the same number.
func mathRandom(args []value.Value, rand Source) (value.Value, error) {
	start, err := integer(args, 0)
	if err != nil {
		return value.Value{}, err
	}
	end, err := integer(args, 1)
	if err != nil {
		return value.Value{}, err
	}
	if start >= end {
		return value.Value{}, errors.New("argument 1 must be less than argument 2")
	}
	if len(args) == 3 {
		seed, err := integer(args, 2)
		if err != nil {
			return value.Value{}, err
		}
		rand = seeded(seed)
	}
	if rand == nil {
		return value.Value{}, errNoRandomness
	}
	// The bias of the remainder is below 2^-32: the width has 32 bits.
	return value.Int(start + int64(rand.Uint64()%uint64(end-start))), nil
}

// seeded is a source of one number: a step of SplitMix64 from the seed.
type seeded uint64

func (s seeded) Uint64() uint64 {
	z := uint64(s) + 0x9E3779B97F4A7C15
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}

// uuid returns a random (version 4) UUID.
func uuid(_ []value.Value, rand Source) (value.Value, error) {
	if rand == nil {
		return value.Value{}, errNoRandomness
	}
	var id [16]byte
	for i, word := range [...]uint64{rand.Uint64(), rand.Uint64()} {
		for j := range 8 {
			id[8*i+j] = byte(word >> (8 * j))
		}
	}
	id[6] = id[6]&0x0F | 0x40
	id[8] = id[8]&0x3F | 0x80
	var text [36]byte
	hex.Encode(text[0:8], id[0:4])
	hex.Encode(text[9:13], id[4:6])
	hex.Encode(text[14:18], id[6:8])
	hex.Encode(text[19:23], id[8:10])
	hex.Encode(text[24:36], id[10:16])
	text[8], text[13], text[18], text[23] = '-', '-', '-', '-'
	return value.String(string(text[:])), nil
}
