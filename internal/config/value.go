package config

import (
	"fmt"
	"log/slog"
	"math"
	"net"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"callfleet/internal/config/target"
	"callfleet/internal/httpcall/egress"
)

// mappers are the decoders of every type of setting.
func mappers(found *problems) []kong.Option {
	of := func(v any, parse func(string) (any, error)) kong.Option {
		return kong.TypeMapper(reflect.TypeOf(v), mapper{parse, found})
	}
	return []kong.Option{
		kong.KindMapper(reflect.Bool, boolMapper{found}),
		kong.KindMapper(reflect.Int, mapper{parseInt, found}),
		kong.KindMapper(reflect.Float64, mapper{parseFloat, found}),
		of(time.Duration(0), parseDuration),
		of(slog.Level(0), parseLevel),
		of(target.Target{}, parseTarget),
		of(RateLimit{}, parseRateLimit),
		of(Address(""), parseAddress),
		of(egress.Rules{}, parseEgressRules),
		of(egress.Ports{}, parseEgressPorts),
		of(Proxy{}, parseProxy),
		of(FlowRate{}, parseFlowRate),
		of(FlowCount{}, parseFlowCount),
	}
}

func parseBool(text string) (bool, error) {
	switch strings.ToLower(text) {
	case "true", "1", "yes":
		return true, nil
	case "false", "0", "no":
		return false, nil
	}
	return false, fmt.Errorf("want true or false, not %q", text)
}

func parseInt(text string) (any, error) {
	n, err := strconv.Atoi(text)
	if err != nil {
		return nil, fmt.Errorf("want a whole number, not %q", text)
	}
	return n, nil
}

func parseFloat(text string) (any, error) {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || f != f {
		return nil, fmt.Errorf("want a number, not %q", text)
	}
	return f, nil
}

func parseRateLimit(text string) (any, error) {
	if text == "auto" {
		return RateLimit{Auto: true}, nil
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) || f < 0 {
		return nil, fmt.Errorf("want auto or a number per second, 0 for no limit, not %q", text)
	}
	return RateLimit{PerSecond: f}, nil
}

func parseDuration(text string) (any, error) {
	d, err := time.ParseDuration(text)
	if err != nil {
		return nil, fmt.Errorf("want a duration such as 30s or 5m, not %q", text)
	}
	return d, nil
}

func parseLevel(text string) (any, error) {
	switch strings.ToLower(text) {
	case "debug":
		return slog.LevelDebug, nil
	case "info":
		return slog.LevelInfo, nil
	case "warn":
		return slog.LevelWarn, nil
	case "error":
		return slog.LevelError, nil
	}
	return nil, fmt.Errorf("want debug, info, warn or error, not %q", text)
}

// Address is where a server listens: host:port, port 0 for a free one.
type Address string

// Port is the port as it was given.
func (a Address) Port() string {
	_, port, _ := net.SplitHostPort(string(a))
	return port
}

func parseAddress(text string) (any, error) {
	_, port, err := net.SplitHostPort(text)
	if err != nil {
		return nil, fmt.Errorf("want host:port, such as 127.0.0.1:8084 or :8084 for every interface, not %q", text)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return nil, fmt.Errorf("want a port between 0 (a free one) and 65535, not %q", port)
	}
	return Address(text), nil
}
