package httpcall

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"callfleet/internal/auth"
	"callfleet/internal/call"
	"callfleet/internal/httpcall/content"
	"callfleet/internal/httpcall/egress"
	"callfleet/internal/httpcall/h1"
)

// fault is one attempt without a usable answer.
type fault struct {
	name      call.FailureName
	reason    string // one line, no secrets
	permanent bool   // another attempt would end the same way
}

// interruption names, on spans and metrics alone, an attempt that was given up
// because somebody cancelled the call: Do returns the cause of that.
const interruption call.FailureName = "interrupted"

// faultOf names what went wrong, from the most certain sign to the least. ctx
// is that of the attempt.
func faultOf(ctx context.Context, err error, timeout time.Duration) *fault {
	var (
		blob     *errBlob
		tooLarge *content.TooLarge
		hollow   *content.Hollow
		denied   *egress.Denied
		refused  *auth.Error
		cert     *tls.CertificateVerificationError
		netErr   net.Error
	)
	switch {
	case errors.As(err, &blob) && !canceled(ctx):
		return &fault{blob.failure.Name, oneLine(blob.failure.Cause, 500), blob.permanent}
	case errors.As(err, &tooLarge):
		return &fault{call.ResponseTooLarge, tooLarge.Error(), true}
	case errors.As(err, &hollow):
		return &fault{call.ResponseTooLarge, hollow.Error(), true}
	case errors.As(err, &denied):
		return &fault{call.EgressDenied, denied.Error(), true}
	case errors.Is(err, h1.ErrProxyHost), errors.Is(err, errDowngrade):
		return &fault{call.EgressDenied, "egress denied: " + err.Error(), true}
	case errors.As(err, &refused):
		return &fault{call.AuthFailed, refused.Reason, refused.Permanent}
	case errors.Is(err, errRedirect):
		return &fault{call.ConnectionFailed, err.Error(), true}
	case context.Cause(ctx) == errAttempt:
		return &fault{call.Timeout, fmt.Sprintf("no whole answer within %s", brief(timeout)), false}
	case canceled(ctx):
		return &fault{interruption, oneLine(context.Cause(ctx).Error(), 200), true}
	case ctx.Err() != nil:
		return &fault{call.DeadlineExceeded, "the time budget of the task is used up", true}
	case errors.As(err, &cert):
		return &fault{call.ConnectionFailed, "the server's certificate is not valid: " + safe(cert.Err), true}
	case errors.Is(err, h1.ErrHeaderTimeout), errors.Is(err, h1.ErrTLSTimeout), errors.Is(err, h1.ErrProxyTimeout),
		errors.As(err, &netErr) && netErr.Timeout():
		return &fault{call.Timeout, safe(err), false}
	case errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, h1.ErrNoAnswer):
		return &fault{call.ConnectionFailed, "the connection was closed in the middle of the answer", false}
	case errors.Is(err, h1.ErrNoAnswer):
		return &fault{call.ConnectionFailed, h1.ErrNoAnswer.Error(), false}
	}
	return &fault{call.ConnectionFailed, safe(err), false}
}

// canceled reports whether somebody gave the call up.
func canceled(ctx context.Context) bool { return errors.Is(ctx.Err(), context.Canceled) }

// safe is the text of an error of net/http up to its first quote: what it
// quotes is data of the server or of the request.
func safe(err error) string {
	text := err.Error()
	if i := strings.IndexByte(text, '"'); i > 0 {
		text = strings.TrimRight(text[:i], " :")
	}
	return oneLine(text, 200)
}

// oneLine makes text fit for a cause: printable, on one line, at most limit
// bytes.
func oneLine(text string, limit int) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, text)
	if len(text) > limit {
		text = strings.ToValidUTF8(text[:limit], "") + "…"
	}
	return text
}

// failure says what was tried, on what, how often and for how long.
func (p *plan) failure(flt *fault) *call.Failure {
	attempts := "1 attempt"
	if p.attempts != 1 {
		attempts = fmt.Sprintf("%d attempts", p.attempts)
	}
	return &call.Failure{
		Name: flt.name,
		Cause: fmt.Sprintf("%s %s: %s (%s in %s)", p.request.Method, oneLine(p.target, 1024), flt.reason,
			attempts, brief(time.Since(p.started))),
		Attempts: p.attempts - p.held,
	}
}

// outOfTime ends a call whose next pause goes beyond the task's deadline. A
// pause that the server asked for is named in the failure; an answer that was
// to be tried again on our own account is the last one, and the result.
func (p *plan) outOfTime(wait pause, rep reply, flt *fault) (call.Result, error) {
	switch {
	case wait.asked:
		return call.Result{}, p.failure(&fault{name: call.RateLimited, reason: fmt.Sprintf(
			"answered %d and asks to wait %s, longer than the time left for the task", rep.status, brief(wait.length))})
	case flt == nil:
		return p.end(rep)
	default:
		return call.Result{}, p.failure(&fault{name: call.DeadlineExceeded, reason: fmt.Sprintf(
			"%s; a pause of %s before the next attempt is longer than the time left for the task", flt.reason, brief(wait.length))})
	}
}

// unusable is the failure of a request that cannot be sent as it was rendered.
func unusable(r call.Rendered, reason string) *call.Failure {
	return &call.Failure{Name: call.RenderFailed, Cause: "render request: " + oneLine(r.Method, 16) + ": " + reason}
}

// brief is d with three digits or so.
func brief(d time.Duration) time.Duration {
	switch {
	case d >= 10*time.Second:
		return d.Round(100 * time.Millisecond)
	case d >= 10*time.Millisecond:
		return d.Round(time.Millisecond)
	}
	return d.Round(10 * time.Microsecond)
}
