package httpcall

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// zone is what a name server answers for a name: its addresses, in the order
// of its queries for A (AAAA is answered as the A before it); the last answer
// stays.
type zone map[string][][]string

// nameServer is a DNS server on loopback whose answers may change.
type nameServer struct {
	zone zone

	mu    sync.Mutex
	asked map[string]int // queries for A, by name; guarded by mu
}

// resolver starts a name server and returns who asks it, and nobody else.
func resolver(t testing.TB, z zone) *net.Resolver {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &nameServer{zone: z, asked: map[string]int{}}
	var served sync.WaitGroup
	served.Go(func() { s.serve(conn) })
	t.Cleanup(func() { conn.Close(); served.Wait() })
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

func (s *nameServer) serve(conn net.PacketConn) {
	packet := make([]byte, 1500)
	for {
		n, from, err := conn.ReadFrom(packet)
		if err != nil {
			return
		}
		if answer, err := s.answer(packet[:n]); err == nil {
			_, _ = conn.WriteTo(answer, from)
		}
	}
}

func (s *nameServer) answer(query []byte) ([]byte, error) {
	var m dnsmessage.Message
	if err := m.Unpack(query); err != nil {
		return nil, err
	}
	q := m.Questions[0]
	reply := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: m.ID, Response: true, Authoritative: true, RCode: dnsmessage.RCodeNameError},
		Questions: m.Questions,
	}
	for _, text := range s.addresses(q) {
		reply.RCode = dnsmessage.RCodeSuccess
		a := netip.MustParseAddr(text)
		header := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class}
		switch {
		case a.Is4() && q.Type == dnsmessage.TypeA:
			reply.Answers = append(reply.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.AResource{A: a.As4()}})
		case a.Is6() && q.Type == dnsmessage.TypeAAAA:
			reply.Answers = append(reply.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.AAAAResource{AAAA: a.As16()}})
		}
	}
	return reply.Pack()
}

func (s *nameServer) addresses(q dnsmessage.Question) []string {
	name := strings.TrimSuffix(q.Name.String(), ".")
	answers := s.zone[name]
	if len(answers) == 0 {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.asked[name]
	if q.Type == dnsmessage.TypeA {
		s.asked[name]++
	}
	return answers[min(n, len(answers)-1)]
}
