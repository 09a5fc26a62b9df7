// Package awstest runs emulators of AWS for tests: moto (SQS, DynamoDB, Step
// Functions, STS and more) and fauxqs (SQS, under load), each as a child process
// on a free port of 127.0.0.1, and a proxy that puts faults in front of them.
//
// An emulator is started at its first use, once per test process, and ends with
// that process, also after kill -9, because it reads the end of its standard
// input. Tests share it, and keep apart by the names of their queues, tables and
// state machines: see Name. Nothing of an emulator is a goroutine in the test
// process, and the connections of Config close when they have been idle for a
// moment, so that goleak finds nothing of ours.
//
// What is not installed on the machine is installed into the user's cache
// directory: moto into a Python virtual environment, fauxqs by npm. A test whose
// emulator can't be started fails; it never skips.
package awstest

import (
	"context"
	"crypto/rand"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go/middleware"

	"callfleet/internal/awsbody"
)

// The kinds of emulators.
const (
	KindMoto   = "moto"
	KindFauxqs = "fauxqs"
)

// Region is where the emulators' clients are.
const Region = "us-east-1"

// Account is the number of the account that the emulators act for.
const Account = "123456789012"

// Made-up credentials; the emulators accept any.
const (
	accessKey = "AKIAIOSFODNN7EXAMPLE"
	secretKey = "test"
)

// Emulator is a running emulator, or a proxy in front of one.
type Emulator struct{ URL string }

// Config makes clients of the emulator. The connections are its own.
func (e Emulator) Config() aws.Config {
	return aws.Config{
		Region:       Region,
		Credentials:  aws.CredentialsProviderFunc(credentials),
		BaseEndpoint: aws.String(e.URL),
		HTTPClient: &http.Client{Transport: &http.Transport{
			MaxIdleConnsPerHost: 256,
			IdleConnTimeout:     idle,
		}},
		APIOptions: []func(*middleware.Stack) error{awsbody.Safe},
	}
}

// idle is less than the time that goleak waits for goroutines to end.
const idle = 200 * time.Millisecond

func credentials(context.Context) (aws.Credentials, error) {
	return aws.Credentials{AccessKeyID: accessKey, SecretAccessKey: secretKey, Source: "awstest"}, nil
}

// Env makes clients of the emulator in child processes.
func (e Emulator) Env() []string {
	return []string{
		"AWS_ENDPOINT_URL=" + e.URL,
		"AWS_REGION=" + Region,
		"AWS_DEFAULT_REGION=" + Region,
		"AWS_ACCESS_KEY_ID=" + accessKey,
		"AWS_SECRET_ACCESS_KEY=" + secretKey,
		"AWS_EC2_METADATA_DISABLED=true",
	}
}

// running is an emulator with what ends it, which must not be collected: the
// emulator would read the end of its input.
type running struct {
	Emulator
	stop func()
}

// One emulator of a kind per test process.
var (
	moto   = sync.OnceValues(func() (running, error) { return startShared(KindMoto) })
	fauxqs = sync.OnceValues(func() (running, error) { return startShared(KindFauxqs) })
)

func startShared(kind string) (running, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	e, stop, err := Start(ctx, kind)
	return running{e, stop}, err
}

// Moto is this process's moto.
func Moto(tb testing.TB) Emulator {
	tb.Helper()
	return shared(tb, moto)
}

// Fauxqs is this process's fauxqs.
func Fauxqs(tb testing.TB) Emulator {
	tb.Helper()
	return shared(tb, fauxqs)
}

func shared(tb testing.TB, emulator func() (running, error)) Emulator {
	tb.Helper()
	r, err := emulator()
	if err != nil {
		tb.Fatal(err)
	}
	return r.Emulator
}

// Name is a name for a queue, a table or a state machine that no other test has:
// the prefix, a dash and a random text of lower-case letters and digits.
func Name(prefix string) string { return prefix + "-" + strings.ToLower(rand.Text()[:10]) }
