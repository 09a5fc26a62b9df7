package awstest_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"go.uber.org/goleak"

	"callfleet/internal/awstest"
)

// helper names the emulator that a test process started by another starts.
const helper = "CALLFLEET_AWSTEST_HELPER"

func TestMain(m *testing.M) {
	if kind := os.Getenv(helper); kind != "" {
		runHelper(kind)
	}
	goleak.VerifyTestMain(m)
}

// runHelper starts an emulator, prints its URL and waits to be killed.
func runHelper(kind string) {
	e, _, err := awstest.Start(context.Background(), kind)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(e.URL)
	_, _ = io.Copy(io.Discard, os.Stdin) // ends with the test at the latest
	os.Exit(0)
}

// An emulator ends with the process that started it, however that ends.
func TestEmulatorEndsWithItsProcess(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{awstest.KindMoto, awstest.KindFauxqs} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), helper+"="+kind)
			stdin, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			defer stdin.Close()
			stdout, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			line, _ := bufio.NewReader(stdout).ReadString('\n')
			conn := dial(t, strings.TrimSpace(line))
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait() // says that it was killed
			// Connections are never used: they end when the emulator does.
			for address := conn.RemoteAddr().String(); err == nil; conn, err = net.Dial("tcp", address) {
				if late := conn.SetReadDeadline(time.Now().Add(time.Minute)); late != nil {
					t.Fatal(late)
				}
				if _, err := conn.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) {
					t.Fatal("the emulator has outlived its process")
				}
				_ = conn.Close()
			}
		})
	}
}

// dial connects to an emulator.
func dial(t *testing.T, rawURL string) net.Conn {
	t.Helper()
	u, err := url.Parse(rawURL)
	if err != nil || u.Hostname() != "127.0.0.1" {
		t.Fatalf("the emulator is at %q, %v", rawURL, err)
	}
	conn, err := net.Dial("tcp", u.Host)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// What is made in one emulator is not seen in another, which stop ends.
func TestEmulatorsAreApart(t *testing.T) {
	t.Parallel()
	other, stop, err := awstest.Start(t.Context(), awstest.KindMoto)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	queue := makeQueue(t, awstest.Moto(t).Config())
	name := queue[strings.LastIndex(queue, "/")+1:]
	_, err = sqs.NewFromConfig(other.Config()).GetQueueUrl(t.Context(), &sqs.GetQueueUrlInput{QueueName: &name})
	if code(err) != "AWS.SimpleQueueService.NonExistentQueue" {
		t.Errorf("got %v", err)
	}
	conn := dial(t, other.URL)
	defer conn.Close()
	stop()
	if again, err := net.Dial("tcp", conn.RemoteAddr().String()); err == nil {
		_ = again.Close()
		t.Error("the emulator still listens")
	}
}

func TestStartSaysWhyNot(t *testing.T) {
	t.Parallel()
	if _, _, err := awstest.Start(t.Context(), "nothing"); err == nil || err.Error() != "start emulator nothing: there is no such kind" {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("enough"))
	if _, _, err := awstest.Start(ctx, awstest.KindMoto); err == nil || !strings.Contains(err.Error(), "enough") {
		t.Errorf("got %v", err)
	}
}

// Env is for programs that read their configuration from the environment.
func TestEnvIsAConfiguration(t *testing.T) {
	t.Parallel()
	env := map[string]string{}
	for _, pair := range awstest.Moto(t).Env() {
		name, value, _ := strings.Cut(pair, "=")
		env[name] = value
	}
	want := map[string]string{
		"AWS_ENDPOINT_URL": awstest.Moto(t).URL, "AWS_REGION": awstest.Region, "AWS_DEFAULT_REGION": awstest.Region,
		"AWS_ACCESS_KEY_ID": env["AWS_ACCESS_KEY_ID"], "AWS_SECRET_ACCESS_KEY": env["AWS_SECRET_ACCESS_KEY"], "AWS_EC2_METADATA_DISABLED": "true",
	}
	if !maps.Equal(env, want) || env["AWS_ACCESS_KEY_ID"] == "" || env["AWS_SECRET_ACCESS_KEY"] == "" {
		t.Errorf("got %v", env)
	}
}

func TestMotoAnswers(t *testing.T) {
	t.Parallel()
	cfg := awstest.Moto(t).Config()
	if out, err := sts.NewFromConfig(cfg).GetCallerIdentity(t.Context(), nil); err != nil || aws.ToString(out.Account) != awstest.Account {
		t.Errorf("sts: got %+v, %v", out, err)
	}
	if _, err := dynamodb.NewFromConfig(cfg).ListTables(t.Context(), nil); err != nil {
		t.Error(err)
	}
	if _, err := sfn.NewFromConfig(cfg).ListStateMachines(t.Context(), nil); err != nil {
		t.Error(err)
	}
	sendAndReceive(t, cfg)
}

func TestFauxqsAnswers(t *testing.T) {
	t.Parallel()
	sendAndReceive(t, awstest.Fauxqs(t).Config())
}

// sendAndReceive is a message's life.
func sendAndReceive(t *testing.T, cfg aws.Config) {
	t.Helper()
	client := sqs.NewFromConfig(cfg)
	name := awstest.Name("calls")
	made, err := client.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: &name})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: made.QueueUrl, MessageBody: aws.String("hello")}); err != nil {
		t.Fatal(err)
	}
	got, err := client.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: made.QueueUrl, WaitTimeSeconds: 5})
	if err != nil || len(got.Messages) != 1 || aws.ToString(got.Messages[0].Body) != "hello" {
		t.Fatalf("got %+v, %v", got, err)
	}
	if _, err := client.DeleteMessage(t.Context(), &sqs.DeleteMessageInput{QueueUrl: made.QueueUrl, ReceiptHandle: got.Messages[0].ReceiptHandle}); err != nil {
		t.Error(err)
	}
}
