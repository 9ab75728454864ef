// A timestamp authority (RFC 3161) with the key and the certificates of a trusted one, and a clock that is wrong.
//
// The real one takes its time from the machine, which a test cannot set.
package main

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"flag"
	"io"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/digitorus/timestamp"
)

func main() {
	address := flag.String("address", "", "where to listen")
	keyPath := flag.String("key", "", "file with the private key, PKCS #8 in PEM")
	chainPath := flag.String("chain", "", "file with the certificates in PEM, the authority's own first")
	by := flag.Duration("by", 0, "how far ahead of the machine the clock is")
	flag.Parse()
	key, err := x509.ParsePKCS8PrivateKey(first(*keyPath))
	if err != nil {
		log.Fatal(err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		log.Fatalf("%s cannot sign", *keyPath)
	}
	certificate, err := x509.ParseCertificate(first(*chainPath))
	if err != nil {
		log.Fatal(err)
	}

	http.HandleFunc("POST /api/v1/timestamp", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		request, err := timestamp.ParseRequest(body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		stamp := timestamp.Timestamp{
			HashAlgorithm:     request.HashAlgorithm,
			HashedMessage:     request.HashedMessage,
			Nonce:             request.Nonce,
			Policy:            []int{1, 3, 6, 1, 4, 1, 57264, 2}, // Sigstore's
			Time:              time.Now().UTC().Add(*by),
			Accuracy:          time.Second,
			AddTSACertificate: request.Certificates,
		}
		reply, err := stamp.CreateResponseWithOpts(certificate, signer, crypto.SHA256)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/timestamp-reply")
		_, _ = w.Write(reply)
	})
	log.Fatal(http.ListenAndServe(*address, nil))
}

// first returns the first block of a PEM file.
func first(path string) []byte {
	data, err := os.ReadFile(path)
	if err != nil {
		log.Fatal(err)
	}
	block, _ := pem.Decode(data)
	if block == nil {
		log.Fatalf("%s is no PEM", path)
	}
	return block.Bytes
}
