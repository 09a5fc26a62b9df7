//go:build !race

package httpcall

const raceEnabled = false
