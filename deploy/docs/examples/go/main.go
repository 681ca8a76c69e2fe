// Verify is a client's first verification, as small as it can be without leaving out what production needs: TLS, a
// deadline, retries from one file, a request_id of one's own, and refusals that a program can tell apart.
//
//	heyan testserver -- go run ./deploy/docs/examples/go deploy/config/service_config.json
//
// The connection is in the environment: HEYAN_ADDRESS, HEYAN_CA_FILE, HEYAN_API_KEY, HEYAN_NOTICE.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: verify SERVICE_CONFIG")
		os.Exit(2)
	}
	if err := run(context.Background(), os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, serviceConfig string) error {
	conn, err := connect(serviceConfig)
	if err != nil {
		return err
	}
	defer conn.Close()
	client := heyanv1.NewVerificationServiceClient(conn)

	// The request_id is yours and is the idempotency key: make it once for each verification, store it with your
	// case before the call, and send the same one with every retry.
	request := &heyanv1.VerifyRequest{
		Product:   "id2",
		RequestId: "order-" + rand.Text(),
		Fields:    &heyanv1.Fields{Name: new("测试一致"), IdNumber: new("11010519491231002X")},
		Ground: &heyanv1.VerifyRequest_Consent_{Consent: &heyanv1.VerifyRequest_Consent{
			Notice: os.Getenv("HEYAN_NOTICE"), ObtainTime: timestamppb.Now(), EvidenceRef: "agr-" + rand.Text(),
		}},
	}
	first, entry, err := verify(ctx, client, request)
	if err != nil {
		return err
	}
	fmt.Println("verdict:  ", first.GetVerdict(), "log entry:", entry)

	again, _, err := verify(ctx, client, request)
	if err != nil {
		return err
	}
	fmt.Println("replayed: ", again.GetReused(), "same id:", again.GetId() == first.GetId())

	// A wrong check digit is refused before anything is looked up. It gets a request_id of its own.
	request.RequestId, request.Fields.IdNumber = "order-"+rand.Text(), new("110105194912310021")
	_, entry, err = verify(ctx, client, request)
	reason, handling := refusal(err)
	fmt.Println("refused:  ", reason, handling, "log entry:", entry)
	if reason != "FIELD_MALFORMED" {
		return errors.New("a wrong check digit was not refused as it should be")
	}
	return nil
}

// verify sends one request within a deadline. entry is its place in the network log, also for a refusal.
func verify(ctx context.Context, client heyanv1.VerificationServiceClient, request *heyanv1.VerifyRequest) (v *heyanv1.Verification, entry string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second) // over all attempts
	defer cancel()
	var trailer metadata.MD
	response, err := client.Verify(ctx, request, grpc.Trailer(&trailer))
	if at := trailer.Get("heyan-log-entry"); len(at) > 0 {
		entry = at[0]
	}
	return response.GetVerification(), entry, err
}

// refusal reads why Heyan refused, and what to do about it. Never switch on the message.
func refusal(err error) (reason, handling string) {
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok && info.GetDomain() == "heyan" {
			return info.GetReason(), info.GetMetadata()["handling"]
		}
	}
	return "", ""
}

func connect(serviceConfig string) (*grpc.ClientConn, error) {
	retries, err := os.ReadFile(serviceConfig) // in a program of your own: go:embed
	if err != nil {
		return nil, err
	}
	tls, err := credentials.NewClientTLSFromFile(os.Getenv("HEYAN_CA_FILE"), "")
	if err != nil {
		return nil, err
	}
	return grpc.NewClient(os.Getenv("HEYAN_ADDRESS"),
		grpc.WithTransportCredentials(tls),
		grpc.WithPerRPCCredentials(apiKey(os.Getenv("HEYAN_API_KEY"))),
		grpc.WithDefaultServiceConfig(string(retries)))
}

// apiKey is sent with every call, over TLS only.
type apiKey string

func (k apiKey) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + string(k)}, nil
}

func (apiKey) RequireTransportSecurity() bool { return true }
