package h1

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"os"
	"sync"
	"time"
)

const (
	readBuffer  = 4 << 10
	writeBuffer = 4 << 10
	// firstRead is all the buffer that a call has while it waits; a small answer
	// fits into it.
	firstRead = 512
	// maxInformational bounds the 1xx answers before the real one.
	maxInformational = 5
	// graceForAnswer is how long an answer is waited for after the server cut
	// the request off: it may say why.
	graceForAnswer = time.Second
	// largeBody is written in a goroutine of its own, for a server that answers
	// without reading it all would otherwise not be heard.
	largeBody = 64 << 10
)

// Buffers are taken to write and to read, and given back: a call that waits
// holds none.
var (
	readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, readBuffer) }}
	writers = sync.Pool{New: func() any { return bufio.NewWriterSize(nil, writeBuffer) }}
)

// conn is one connection, used by one call at a time.
type conn struct {
	net.Conn           // raw, or TLS over it
	raw       net.Conn // to look whether it is alive
	transport *Transport
	key       string
	proxy     *url.URL // that requests are sent to as such; nil: the server, or a tunnel to it
	direct    bool     // no proxy is between
	reused    bool
	idleSince time.Time // guarded by pool.mu

	ctx     context.Context // of the call under way
	stop    func() bool     // ends the watch over ctx
	reader  *bufio.Reader   // from the first bytes of the answer to its end
	head    [firstRead]byte // those first bytes
	unread  []byte          // what the reader has not taken of them
	allowed int64           // bytes that may still be read
	got     bool            // a byte of the answer has come
}

// past is a deadline that ends a read or write at once.
var past = time.Unix(1, 0)

// exchange sends req and reads the head of its answer. On error the caller
// closes the connection.
func (c *conn) exchange(req *http.Request) (*http.Response, error) {
	c.ctx = req.Context()
	c.stop = context.AfterFunc(c.ctx, func() { c.SetDeadline(past) })
	c.got, c.allowed, c.unread = false, int64(c.transport.opts.MaxHeader), nil
	sent := c.send(req)
	res, err := c.answer(req, sent)
	if err != nil {
		c.detach()
		return nil, err
	}
	// A body may be as long as it likes; who reads it has a limit.
	c.allowed = math.MaxInt64
	b := &body{Reader: res.Body, conn: c, reusable: !res.Close && !req.Close && sent.done()}
	if res.Body == http.NoBody {
		b.settle(true)
	}
	res.Body = b
	return res, nil
}

// sending is a request on its way.
type sending struct {
	err      error         // valid when finished is nil or closed
	finished chan struct{} // nil: it was sent before send returned
}

// done reports whether the whole request was sent.
func (s *sending) done() bool {
	if s.finished != nil {
		select {
		case <-s.finished:
		default:
			return false
		}
	}
	return s.err == nil
}

func (c *conn) send(req *http.Request) *sending {
	if req.ContentLength >= 0 && req.ContentLength <= largeBody {
		return &sending{err: c.write(req)}
	}
	s := &sending{finished: make(chan struct{})}
	go func() {
		defer close(s.finished)
		s.err = c.write(req)
	}()
	return s
}

func (c *conn) write(req *http.Request) error {
	w := writers.Get().(*bufio.Writer)
	w.Reset(c.Conn)
	var err error
	if c.proxy == nil {
		err = req.Write(w)
	} else {
		err = writeProxy(w, req, c.proxy)
	}
	if err == nil {
		err = w.Flush()
	}
	w.Reset(nil)
	writers.Put(w)
	return err
}

// answer reads the head of the answer, past what is only informational.
func (c *conn) answer(req *http.Request, sent *sending) (*http.Response, error) {
	limited := false
	switch limit := c.transport.opts.HeaderTimeout; {
	case sent.finished == nil && sent.err != nil:
		limited = true
		c.deadline(graceForAnswer)
	case limit > 0:
		limited = true
		c.deadline(limit)
	}
	n, err := c.Conn.Read(c.head[:])
	if n == 0 {
		return nil, c.explain(err, sent, limited)
	}
	c.got, c.unread = true, c.head[:n]
	c.reader = readers.Get().(*bufio.Reader)
	c.reader.Reset((*counted)(c))
	for range maxInformational {
		res, err := http.ReadResponse(c.reader, req)
		switch {
		case err != nil:
			return nil, c.explain(err, sent, limited)
		case res.StatusCode == http.StatusSwitchingProtocols:
			return nil, errors.New("the server switches to another protocol unasked")
		case res.StatusCode >= 200:
			if limited {
				c.deadline(0)
			}
			return res, nil
		}
	}
	return nil, errors.New("too many informational answers")
}

// explain finds the first cause of a failed read.
func (c *conn) explain(err error, sent *sending, limited bool) error {
	switch {
	case c.allowed <= 0:
		return ErrHeaderTooLarge
	case c.got && !errors.Is(err, os.ErrDeadlineExceeded):
		return err
	case sent.finished == nil && sent.err != nil && !errors.Is(sent.err, os.ErrDeadlineExceeded):
		return fmt.Errorf("%w: %w", ErrNoAnswer, sent.err)
	case limited && errors.Is(err, os.ErrDeadlineExceeded):
		return ErrHeaderTimeout
	case errors.Is(err, os.ErrDeadlineExceeded):
		return err
	}
	return fmt.Errorf("%w: %w", ErrNoAnswer, err)
}

// deadline bounds reading to d from now, or unbounds it, unless the watch over
// the context has ended it already.
func (c *conn) deadline(d time.Duration) {
	var at time.Time
	if d > 0 {
		at = time.Now().Add(d)
	}
	c.SetReadDeadline(at)
	if c.ctx.Err() != nil { // the watch may have been first, and is undone
		c.SetDeadline(past)
	}
}

// detach ends the watch and gives the buffer back. It reports whether the
// connection is as it was before the call.
func (c *conn) detach() bool {
	clean := c.stop()
	if c.reader != nil {
		clean = clean && c.reader.Buffered() == 0 && len(c.unread) == 0
		c.reader.Reset(nil)
		readers.Put(c.reader)
	}
	c.reader, c.ctx, c.stop = nil, nil, nil
	return clean
}

// release ends the call on the connection, which is kept if it can be.
func (c *conn) release(reusable bool) {
	if !c.detach() || !reusable {
		c.Close()
		return
	}
	c.transport.pool.put(c)
}

// unasked reports whether TLS holds bytes of an idle connection, which came in
// one record with the last answer and so are seen in no socket: they would be
// taken for the next answer.
func (c *conn) unasked() bool {
	if _, ok := c.Conn.(*tls.Conn); !ok {
		return false
	}
	c.SetReadDeadline(past)
	n, err := c.Conn.Read(c.head[:1])
	c.SetReadDeadline(time.Time{})
	return n > 0 || !errors.Is(err, os.ErrDeadlineExceeded)
}

// counted reads from the connection within what is allowed.
type counted conn

func (r *counted) Read(p []byte) (int, error) {
	if r.allowed <= 0 {
		return 0, ErrHeaderTooLarge
	}
	if int64(len(p)) > r.allowed {
		p = p[:r.allowed]
	}
	if len(r.unread) > 0 {
		n := copy(p, r.unread)
		r.unread = r.unread[n:]
		r.allowed -= int64(n)
		return n, nil
	}
	n, err := r.Conn.Read(p)
	r.allowed -= int64(n)
	return n, err
}

var _ io.Reader = (*counted)(nil)
