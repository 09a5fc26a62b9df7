// Package credential wires what gives requests their secrets and credentials,
// for the programs that may reach AWS.
package credential

import (
	"context"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"callfleet/internal/app/backend"
	"callfleet/internal/auth"
	"callfleet/internal/auth/sigv4"
	"callfleet/internal/config"
	"callfleet/internal/secret"
	"callfleet/internal/secret/awssecret"
)

// New makes an Authority by the settings; getenv reads the environment that
// secrets may be in. AWS is not looked for before a template names it.
func New(cfg config.Secrets, getenv func(string) string) (*auth.Authority, error) {
	return open(cfg, getenv, func(ctx context.Context) (aws.Config, error) { return backend.LoadAWS(ctx) })
}

func open(cfg config.Secrets, getenv func(string) string, loadAWS func(context.Context) (aws.Config, error)) (*auth.Authority, error) {
	cloud := &lazyAWS{from: loadAWS}
	sources := cfg.Sources(getenv)
	sources[secret.SecretsManager] = cloud.source(awssecret.Manager)
	sources[secret.SSM] = cloud.source(awssecret.Parameters)
	resolver, err := secret.NewResolver(secret.Options{Sources: sources, Allow: cfg.Allow, TTL: cfg.TTL})
	if err != nil {
		return nil, err
	}
	return auth.New(auth.Options{Secrets: resolver, Signer: sigv4.New(cloud.credentials)}), nil
}

// lazyAWS loads the configuration at its first use.
type lazyAWS struct {
	from func(context.Context) (aws.Config, error)
	mu   sync.Mutex
	cfg  *aws.Config // guarded by mu; nil until it was loaded
}

// loading reads files, and the metadata of an instance at most.
const loading = 10 * time.Second

func (l *lazyAWS) load(ctx context.Context) (aws.Config, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cfg == nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), loading)
		defer cancel()
		cfg, err := l.from(ctx)
		if err != nil {
			return aws.Config{}, err
		}
		l.cfg = &cfg
	}
	return *l.cfg, nil
}

func (l *lazyAWS) credentials(ctx context.Context) (aws.Credentials, error) {
	cfg, err := l.load(ctx)
	if err != nil {
		return aws.Credentials{}, err
	}
	return cfg.Credentials.Retrieve(ctx)
}

// source is one whose client is made at the first fetch.
func (l *lazyAWS) source(make func(aws.Config) secret.Source) secret.Source {
	var once sync.Mutex
	var made secret.Source
	return secret.SourceFunc(func(ctx context.Context, name string) (string, error) {
		cfg, err := l.load(ctx)
		if err != nil {
			return "", err
		}
		once.Lock()
		if made == nil {
			made = make(cfg)
		}
		source := made
		once.Unlock()
		return source.Fetch(ctx, name)
	})
}
