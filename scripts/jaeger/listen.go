package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// States of a socket in /proc/net: a TCP socket that listens, and a UDP socket
// without a peer.
const (
	tcpListen = "0A"
	udpOpen   = "07"
)

// listening returns the addresses that a process listens on, as Linux tells.
func listening(pid int) ([]net.IP, error) {
	inodes, err := sockets(pid)
	if err != nil {
		return nil, fmt.Errorf("list sockets: %w", err)
	}
	var ips []net.IP
	for table, state := range map[string]string{"tcp": tcpListen, "tcp6": tcpListen, "udp": udpOpen, "udp6": udpOpen} {
		text, err := os.ReadFile(filepath.Join("/proc/net", table))
		if errors.Is(err, os.ErrNotExist) {
			continue // no IPv6 here
		}
		if err != nil {
			return nil, fmt.Errorf("list sockets: %w", err)
		}
		for line := range strings.Lines(string(text)) {
			f := strings.Fields(line) // slot, local address, remote address, state, …, the tenth is the inode
			if len(f) < 10 || f[3] != state || !inodes[f[9]] {
				continue
			}
			ip, err := procIP(f[1])
			if err != nil {
				return nil, fmt.Errorf("list sockets: read %s of /proc/net/%s: %w", f[1], table, err)
			}
			ips = append(ips, ip)
		}
	}
	return ips, nil
}

// sockets are the inodes of a process's sockets.
func sockets(pid int) (map[string]bool, error) {
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	inodes := map[string]bool{}
	for _, f := range files {
		target, err := os.Readlink(filepath.Join(dir, f.Name()))
		if err != nil {
			continue // closed meanwhile
		}
		if inode, ok := strings.CutPrefix(target, "socket:["); ok {
			inodes[strings.TrimSuffix(inode, "]")] = true
		}
	}
	return inodes, nil
}

// procIP reads an address such as 0100007F:1F90: words of four bytes, each in
// the machine's order, which is little-endian on all that this runs on.
func procIP(text string) (net.IP, error) {
	addr, _, _ := strings.Cut(text, ":")
	ip, err := hex.DecodeString(addr)
	if err == nil && len(ip) != net.IPv4len && len(ip) != net.IPv6len {
		err = errors.New("no address")
	}
	if err != nil {
		return nil, err
	}
	for word := range slices.Chunk(ip, 4) {
		slices.Reverse(word)
	}
	return ip, nil
}

// checkListening wants Jaeger to be reachable from this machine alone.
func (j *jaeger) checkListening() error {
	if runtime.GOOS != "linux" {
		fmt.Println("jaeger: not checked on this system: what addresses Jaeger listens on")
		return nil
	}
	ips, err := listening(j.cmd.Process.Pid)
	if err != nil {
		return err
	}
	if len(ips) < len(flags) { // each opens one
		return fmt.Errorf("jaeger listens on %v, want at least %d sockets: the check looks at the wrong place", ips, len(flags))
	}
	for _, ip := range ips {
		if !ip.IsLoopback() {
			return fmt.Errorf("jaeger listens on %s, want loopback alone: give every *.host-port flag of its --help an address of 127.0.0.1", ip)
		}
	}
	return nil
}
