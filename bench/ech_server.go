// A TLS server that decrypts Encrypted Client Hello, and a client of it, for bench/ech_truth.py.
//
//	ech_server serve ADDRESS:PORT PUBLIC-NAME CONFIG-ID
//	ech_server ask ADDRESS:PORT NAME CONFIG-LIST(hex; empty: GREASE is not sent)
//
// The server prints its ECHConfigList in hex digits, then for each connection the port of its
// client, whether the hello was decrypted, and the name in it: what nobody on the wire can read.
package main

import (
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/big"
	"net"
	"os"
	"strconv"
	"sync"
	"time"
)

func sized16(data []byte) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(data))), data...)
}

// config makes an ECHConfig (RFC 9849 section 4) with X25519, HKDF-SHA256 and AES-128-GCM.
func config(id byte, key []byte, public string) []byte {
	body := append([]byte{id, 0, 0x20}, sized16(key)...)
	body = append(body, sized16([]byte{0, 1, 0, 1})...)
	body = append(body, 0, byte(len(public)))
	body = append(body, public...)
	body = append(body, 0, 0)
	return append([]byte{0xfe, 0x0d}, sized16(body)...)
}

func must[T any](value T, err error) T {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return value
}

func certificate(name string) *tls.Certificate {
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	template := x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
		DNSNames:     []string{name},
	}
	der := must(x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key))
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func serve(address, public string, id byte) {
	key := must(ecdh.X25519().GenerateKey(rand.Reader))
	made := config(id, key.PublicKey().Bytes(), public)
	fmt.Println(hex.EncodeToString(sized16(made)))
	settings := &tls.Config{
		MinVersion: tls.VersionTLS13,
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			return certificate(hello.ServerName), nil
		},
		EncryptedClientHelloKeys: []tls.EncryptedClientHelloKey{
			{Config: made, PrivateKey: key.Bytes(), SendAsRetry: true},
		},
	}
	listener := must(net.Listen("tcp", address))
	var printing sync.Mutex
	for {
		connection := must(listener.Accept())
		go func() {
			defer connection.Close()
			connection.SetDeadline(time.Now().Add(10 * time.Second))
			secured := tls.Server(connection, settings)
			failed := secured.Handshake()
			state := secured.ConnectionState()
			printing.Lock()
			fmt.Println(connection.RemoteAddr().(*net.TCPAddr).Port, state.ECHAccepted,
				state.ServerName, failed == nil)
			printing.Unlock()
			if failed == nil {
				request := make([]byte, 4096)
				secured.Read(request)
				secured.Write([]byte("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n" +
					"Content-Length: 8\r\nConnection: close\r\n\r\nit works"))
			}
			secured.Close()
		}()
	}
}

func ask(address, name, list string) {
	settings := &tls.Config{ServerName: name, InsecureSkipVerify: true}
	if list != "" {
		settings.EncryptedClientHelloConfigList = must(hex.DecodeString(list))
		settings.MinVersion = tls.VersionTLS13
		settings.EncryptedClientHelloRejectionVerify = func(tls.ConnectionState) error { return nil }
	}
	connection := must(tls.Dial("tcp", address, settings))
	fmt.Fprintf(connection, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", name)
	connection.Read(make([]byte, 4096))
	connection.Close()
}

func main() {
	switch os.Args[1] {
	case "serve":
		serve(os.Args[2], os.Args[3], byte(must(strconv.Atoi(os.Args[4]))))
	case "ask":
		ask(os.Args[2], os.Args[3], os.Args[4])
	}
}
