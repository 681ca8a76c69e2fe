package outside

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"strings"
)

// maxAnswer bounds what is read of an answer.
const maxAnswer = 1 << 20

// web is an HTTP endpoint.
type web struct {
	url    string
	token  string // path
	client *http.Client
}

func newWeb(s Spec, config *tls.Config) (*web, error) {
	w := &web{url: s.url, token: s.auth, client: &http.Client{
		// One call a minute: a connection that was kept would often be one that the other side has closed.
		Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: config, DisableKeepAlives: true},
		// A token is for the host that was named, and for no other.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	if w.token != "" {
		if _, err := w.bearer(); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// bearer reads the token, at each call: it can be renewed without a restart.
func (w *web) bearer() (string, error) {
	info, err := os.Stat(w.token)
	if err != nil {
		return "", err
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return "", errors.New("the token file may be read by others than its owner: chmod 600")
	}
	text, err := os.ReadFile(w.token)
	if err != nil {
		return "", err
	}
	token := strings.TrimSpace(string(text))
	if token == "" || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", errors.New("the token file does not hold one line of printable characters")
	}
	return token, nil
}

// call sends a request, and hands on the answer to a success.
func (w *web) call(ctx context.Context, method string, body []byte, success func(*http.Response) error) error {
	request, err := http.NewRequestWithContext(ctx, method, w.url, bytes.NewReader(body))
	if err != nil {
		return errors.New("outside: malformed request")
	}
	request.Header.Set("User-Agent", "heyan")
	if method == http.MethodPost {
		request.Header.Set("Content-Type", "text/plain; charset=utf-8")
	}
	if w.token != "" {
		token, err := w.bearer()
		if err != nil {
			return err
		}
		request.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := w.client.Do(request)
	if err != nil {
		var named *url.Error // its text has the address
		if errors.As(err, &named) {
			return named.Err
		}
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode < 200 || answer.StatusCode > 299 {
		return fmt.Errorf("outside: answered %d", answer.StatusCode)
	}
	return success(answer)
}

func (w *web) send(ctx context.Context, note []byte) error {
	return w.call(ctx, http.MethodPost, note, func(answer *http.Response) error {
		_, err := io.Copy(io.Discard, io.LimitReader(answer.Body, maxAnswer))
		return err
	})
}

func (w *web) read(ctx context.Context, each func(io.Reader) (bool, error)) error {
	return w.call(ctx, http.MethodGet, nil, func(answer *http.Response) error {
		_, err := each(io.LimitReader(answer.Body, maxAnswer))
		return err
	})
}
