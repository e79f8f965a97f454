package signin_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/openspine/openspine/signin/oauth"
)

// BenchmarkTokenIssue is tokens by signed JWT, over HTTP, from 32 clients at once; each is on the account before it is answered.
// The assertions are signed beforehand: that is the clients' work.
func BenchmarkTokenIssue(b *testing.B) {
	h := open(b, nil)
	h.system("lab")
	until := time.Now().Add(4 * time.Minute).Unix()
	forms := make([]string, b.N)
	var wg sync.WaitGroup
	for w := range 2 {
		wg.Go(func() {
			for i := w; i < b.N; i += 2 {
				claims := map[string]any{"iss": "lab", "sub": "lab", "aud": h.url + oauth.PathToken, "jti": fmt.Sprint(i), "exp": until}
				forms[i] = url.Values{"grant_type": {"client_credentials"}, "client_assertion_type": {assertionType}, "client_assertion": {sign(b, rsaKey(), jose.RS512, lawful(), claims)}}.Encode()
			}
		})
	}
	wg.Wait()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 32}}
	var next atomic.Int64
	b.SetParallelism(16)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			resp, err := client.Post(h.url+oauth.PathToken, "application/x-www-form-urlencoded", strings.NewReader(forms[next.Add(1)-1]))
			if err != nil {
				b.Error(err)
				return
			}
			if resp.Body.Close(); resp.StatusCode != 200 {
				b.Errorf("%d", resp.StatusCode)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tokens/s")
}
