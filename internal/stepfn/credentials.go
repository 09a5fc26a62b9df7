package stepfn

import (
	"context"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// renewEvery is the least time between two renewals of refused credentials:
// many calls are refused at once, and who issues them has a quota as well.
const renewEvery = 5 * time.Second

// credentials tell a lack of credentials from other trouble, and are fetched
// anew once the API has refused them. (The SDK keeps them until the time that
// they came with, by the clock of this machine.) The zero value has none to
// renew.
type credentials struct {
	aws.CredentialsProvider

	mu      sync.Mutex
	renewed time.Time // guarded by mu
}

// noCredentialsError says that no credentials could be had.
type noCredentialsError struct{ err error }

func (e *noCredentialsError) Error() string { return e.err.Error() }
func (e *noCredentialsError) Unwrap() error { return e.err }

// Retrieve implements aws.CredentialsProvider.
func (c *credentials) Retrieve(ctx context.Context) (aws.Credentials, error) {
	v, err := c.CredentialsProvider.Retrieve(ctx)
	if err != nil && ctx.Err() == nil {
		err = &noCredentialsError{err}
	}
	return v, err
}

// refused makes the next call fetch the credentials anew.
func (c *credentials) refused() {
	cache, ok := c.CredentialsProvider.(interface{ Invalidate() })
	if !ok {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.renewed) < renewEvery {
		return
	}
	c.renewed = time.Now()
	cache.Invalidate()
}
