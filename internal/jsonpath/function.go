package jsonpath

import (
	"math"

	"callfleet/internal/jsonpath/value"
)

// function is what a path may end in, such as ".length()".
type function func(v value.Value) (value.Value, error)

var functions = map[string]function{
	"length": length,
	"size":   length,
	"keys":   keys,
	"first":  func(v value.Value) (value.Value, error) { return nth(v, 0) },
	"last":   func(v value.Value) (value.Value, error) { return nth(v, -1) },
	"min":    func(v value.Value) (value.Value, error) { return aggregate(v, smallest) },
	"max":    func(v value.Value) (value.Value, error) { return aggregate(v, largest) },
	"sum":    func(v value.Value) (value.Value, error) { return aggregate(v, sum) },
	"avg":    func(v value.Value) (value.Value, error) { return aggregate(v, mean) },
	"stddev": func(v value.Value) (value.Value, error) { return aggregate(v, deviation) },
}

// length of anything but an array or object is null, as in the library.
func length(v value.Value) (value.Value, error) {
	switch v.Kind() {
	case value.KindArray, value.KindObject:
		return value.Int(int64(v.Len())), nil
	default:
		return value.Null(), nil
	}
}

func keys(v value.Value) (value.Value, error) {
	if v.Kind() != value.KindObject {
		return value.Null(), nil
	}
	names := make([]value.Value, 0, v.Len())
	for _, m := range v.Members() {
		names = append(names, value.String(m.Key))
	}
	return value.Array(names...), nil
}

func nth(v value.Value, i int) (value.Value, error) {
	if e := v.Index(position(i, v.Len())); !e.IsAbsent() {
		return e.Compact(), nil
	}
	return value.Value{}, &NotFound{Reason: "Aggregation function attempted to calculate value using empty array"}
}

func aggregate(v value.Value, f func([]float64) float64) (value.Value, error) {
	var numbers []float64
	for _, e := range v.Elements() {
		if e.Kind() == value.KindNumber {
			numbers = append(numbers, e.Float())
		}
	}
	if len(numbers) == 0 {
		return value.Value{}, &NotFound{Reason: "Aggregation function attempted to calculate value using empty array"}
	}
	result := f(numbers)
	if text := value.Float(result); result == math.Trunc(result) && math.Abs(result) < 1e7 {
		return value.Number(string(text.Number()) + ".0"), nil // a Java double
	}
	return value.Float(result), nil
}

func smallest(numbers []float64) float64 {
	least := numbers[0]
	for _, x := range numbers {
		least = min(least, x)
	}
	return least
}

func largest(numbers []float64) float64 {
	most := numbers[0]
	for _, x := range numbers {
		most = max(most, x)
	}
	return most
}

func sum(numbers []float64) float64 {
	total := 0.0
	for _, x := range numbers {
		total += x
	}
	return total
}

func mean(numbers []float64) float64 { return sum(numbers) / float64(len(numbers)) }

func deviation(numbers []float64) float64 {
	m, squares := mean(numbers), 0.0
	for _, x := range numbers {
		squares += (x - m) * (x - m)
	}
	return math.Sqrt(squares / float64(len(numbers)))
}
