package auth

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

const audience = "spiders.example.org"

// kubernetes is a Reviewer that answers as it is told.
type kubernetes struct {
	mu      sync.Mutex
	reviews []string
	open    int
	most    int
	answer  func(token string) (TokenReview, error)
	allow   map[string]bool
	err     error
	// hold keeps every answer back until it is closed.
	hold chan struct{}
}

func (k *kubernetes) ask(question string) {
	k.mu.Lock()
	k.reviews = append(k.reviews, question)
	k.open++
	k.most = max(k.most, k.open)
	k.mu.Unlock()
	if k.hold != nil {
		<-k.hold
	}
	k.mu.Lock()
	k.open--
	k.mu.Unlock()
}

func (k *kubernetes) ReviewToken(_ context.Context, token, forAudience string) (TokenReview, error) {
	k.ask("token for " + forAudience)
	return k.answer(token)
}

func (k *kubernetes) ReviewAccess(_ context.Context, account *Account, namespace, verb, resource string) (bool, error) {
	k.ask(strings.Join([]string{account.Username, namespace, verb, resource}, " "))
	return k.allow[verb], k.err
}

// jwt makes what has the form of a token, with these claims.
func jwt(claims string) string {
	return "eyJhbGciOiJSUzI1NiJ9." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".c2lnbmF0dXJl"
}

// ofAccount is Kubernetes' answer about a token of the service account crawler in the namespace team.
func ofAccount(string) (TokenReview, error) {
	return TokenReview{
		Accepted: true, Audiences: []string{"other", audience}, Username: "system:serviceaccount:team:crawler", UID: "u-1",
		Groups: []string{"system:serviceaccounts"}, Extra: map[string][]string{"pod": {"p"}},
	}, nil
}

func TestServiceAccountIsKnownByItsToken(t *testing.T) {
	expires := now.Add(time.Hour)
	token := jwt(fmt.Sprintf(`{"exp": %d}`, expires.Unix()))
	tokens := NewTokens(&kubernetes{answer: ofAccount}, audience, nil, func() time.Time { return now })
	got, err := tokens.Authenticate(t.Context(), token)
	want := Identity{
		Namespace: "team", User: "team", ExpiresAt: expires.Local(),
		Account: &Account{
			Name: "crawler", Username: "system:serviceaccount:team:crawler", UID: "u-1", Token: tokenFingerprint(token),
			Groups: []string{"system:serviceaccounts"}, Extra: map[string][]string{"pod": {"p"}},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("error %v; identity (-want +got):\n%s", err, diff)
	}
	if got.Principal() != "system:serviceaccount:team:crawler" || got.String() != "team (service account crawler)" {
		t.Errorf("principal %q, for people %q", got.Principal(), got.String())
	}
}

func TestTokensThatAreRefused(t *testing.T) {
	answering := func(change func(*TokenReview)) func(string) (TokenReview, error) {
		return func(token string) (TokenReview, error) {
			review, err := ofAccount(token)
			change(&review)
			return review, err
		}
	}
	unreachable := errors.New("connection refused")
	for name, test := range map[string]struct {
		token   string
		answer  func(string) (TokenReview, error)
		reviews int
		want    error
	}{
		"not valid":        {answer: answering(func(r *TokenReview) { r.Accepted = false }), reviews: 1, want: ErrUnauthenticated},
		"another audience": {answer: answering(func(r *TokenReview) { r.Audiences = []string{"other"} }), reviews: 1, want: ErrUnauthenticated},
		"no audience":      {answer: answering(func(r *TokenReview) { r.Audiences = nil }), reviews: 1, want: ErrUnauthenticated},
		"a person":         {answer: answering(func(r *TokenReview) { r.Username = "alice" }), reviews: 1, want: ErrUnauthenticated},
		"a node":           {answer: answering(func(r *TokenReview) { r.Username = "system:node:a" }), reviews: 1, want: ErrUnauthenticated},
		"almost a service account": {
			answer: answering(func(r *TokenReview) { r.Username = "system:serviceaccount:team" }), reviews: 1, want: ErrUnauthenticated,
		},
		"of no namespace": {
			answer: answering(func(r *TokenReview) { r.Username = "system:serviceaccount::crawler" }), reviews: 1, want: ErrUnauthenticated,
		},
		"of a namespace that is not served": {
			answer: answering(func(r *TokenReview) { r.Username = "system:serviceaccount:other:crawler" }), reviews: 1, want: ErrUnauthenticated,
		},
		"expired":                     {token: jwt(`{"exp": 1}`), answer: ofAccount, reviews: 1, want: ErrUnauthenticated},
		"no JWT":                      {token: "abc", answer: ofAccount, want: ErrUnauthenticated},
		"two parts":                   {token: "abc.def", answer: ofAccount, want: ErrUnauthenticated},
		"four parts":                  {token: "a.b.c.d", answer: ofAccount, want: ErrUnauthenticated},
		"an empty part":               {token: "a..c", answer: ofAccount, want: ErrUnauthenticated},
		"other characters":            {token: "a.b.c=", answer: ofAccount, want: ErrUnauthenticated},
		"huge":                        {token: "a.b." + strings.Repeat("c", maxToken), answer: ofAccount, want: ErrUnauthenticated},
		"Kubernetes is not reachable": {answer: func(string) (TokenReview, error) { return TokenReview{}, unreachable }, reviews: 1, want: unreachable},
	} {
		t.Run(name, func(t *testing.T) {
			reviewer := &kubernetes{answer: test.answer}
			tokens := NewTokens(reviewer, audience, []string{"team"}, func() time.Time { return now })
			token := test.token
			if token == "" {
				token = jwt(`{}`)
			}
			identity, err := tokens.Authenticate(t.Context(), token)
			if !errors.Is(err, test.want) || identity.Namespace != "" {
				t.Errorf("identity %+v, error %v; want the error %v", identity, err, test.want)
			}
			if len(reviewer.reviews) != test.reviews {
				t.Errorf("Kubernetes was asked %d times, want %d", len(reviewer.reviews), test.reviews)
			}
		})
	}
}

func TestAnswersAreRememberedForAMoment(t *testing.T) {
	clock := now
	reviewer := &kubernetes{answer: ofAccount}
	tokens := NewTokens(reviewer, audience, nil, func() time.Time { return clock })
	soon := jwt(fmt.Sprintf(`{"exp": %d}`, now.Add(reviewTTL/2).Unix()))
	authenticate := func(token string, want error, reviews int) {
		t.Helper()
		if _, err := tokens.Authenticate(t.Context(), token); !errors.Is(err, want) || len(reviewer.reviews) != reviews {
			t.Errorf("error %v after %d reviews, want %v after %d", err, len(reviewer.reviews), want, reviews)
		}
	}
	authenticate(jwt("{}"), nil, 1)
	authenticate(jwt("{}"), nil, 1)
	authenticate(soon, nil, 2)
	clock = clock.Add(reviewTTL / 2)
	authenticate(soon, ErrUnauthenticated, 2) // Its time is up though the answer is not old.
	clock = clock.Add(reviewTTL/2 + 1)
	reviewer.answer = func(string) (TokenReview, error) { return TokenReview{}, nil }
	authenticate(jwt("{}"), ErrUnauthenticated, 3)
	authenticate(jwt("{}"), ErrUnauthenticated, 3)
	clock = clock.Add(reviewTTL + 1)
	broken := errors.New("no answer")
	reviewer.answer = func(string) (TokenReview, error) { return TokenReview{}, broken }
	authenticate(jwt("{}"), broken, 4)
	reviewer.answer = ofAccount
	authenticate(jwt("{}"), nil, 5) // That there was no answer is not remembered.
	for i := range reviewsKept + 100 {
		authenticate(jwt(fmt.Sprintf(`{"jti": %d}`, i)), nil, 6+i)
	}
	if kept := len(tokens.owners.answers.Keys()); kept != reviewsKept {
		t.Errorf("%d answers are kept, want %d", kept, reviewsKept)
	}
}

func TestConcurrentReviewsOfATokenAreOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reviewer := &kubernetes{answer: ofAccount, hold: make(chan struct{})}
		tokens := NewTokens(reviewer, audience, nil, time.Now)
		impatient, leave := context.WithCancel(t.Context())
		var first, others sync.WaitGroup
		first.Go(func() {
			if _, err := tokens.Authenticate(impatient, jwt("{}")); !errors.Is(err, context.Canceled) {
				t.Errorf("whoever left is told %v", err)
			}
		})
		synctest.Wait()
		for range 50 {
			others.Go(func() {
				if identity, err := tokens.Authenticate(t.Context(), jwt("{}")); err != nil || identity.Namespace != "team" {
					t.Errorf("identity %+v, error %v", identity, err)
				}
			})
		}
		synctest.Wait()
		leave() // The others still get the answer to the question that this caller asked.
		first.Wait()
		close(reviewer.hold)
		others.Wait()
		if len(reviewer.reviews) != 1 {
			t.Errorf("Kubernetes was asked %d times", len(reviewer.reviews))
		}
	})
}

func TestReviewsAtOnceAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reviewer := &kubernetes{answer: ofAccount, hold: make(chan struct{})}
		tokens := NewTokens(reviewer, audience, nil, time.Now)
		var all sync.WaitGroup
		var mu sync.Mutex
		answered, busy := 0, 0
		for i := range 100 {
			all.Go(func() {
				_, err := tokens.Authenticate(t.Context(), jwt(fmt.Sprintf(`{"jti": %d}`, i)))
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					answered++
				case errors.Is(err, errBusy):
					busy++
				default:
					t.Errorf("error %v", err)
				}
			})
		}
		time.Sleep(reviewTimeout + time.Second) // In the test's own time: whoever had no turn by now has given up.
		close(reviewer.hold)
		all.Wait()
		if reviewer.most != reviewsAtOnce || answered != reviewsAtOnce || busy != 100-reviewsAtOnce {
			t.Errorf("%d at once, %d answered, %d turned away", reviewer.most, answered, busy)
		}
	})
}

func TestRightsAreAskedForOnceEach(t *testing.T) {
	reviewer := &kubernetes{allow: map[string]bool{"update": true}}
	tokens := NewTokens(reviewer, audience, nil, func() time.Time { return now })
	account := &Account{Username: "system:serviceaccount:team:crawler", Token: "1"}
	for range 2 {
		for verbs, want := range map[string]bool{"patch update": true, "patch": false, "create": false} {
			access := Access{Verbs: strings.Fields(verbs), Resource: "spiderjobs"}
			if allowed, err := tokens.Authorize(t.Context(), "team", account, access); allowed != want || err != nil {
				t.Errorf("%s: allowed %t, error %v", verbs, allowed, err)
			}
		}
	}
	if len(reviewer.reviews) != 3 {
		t.Errorf("Kubernetes was asked %q, want each question once", reviewer.reviews)
	}
	reviewer.err = errors.New("no answer")
	if allowed, err := tokens.Authorize(
		t.Context(), "team", account, Access{Verbs: []string{"get"}, Resource: "spiders"},
	); allowed ||
		err == nil {
		t.Errorf("without an answer: allowed %t, error %v", allowed, err)
	}
}

// refusing fails the test when it is asked.
type refusing struct{ t *testing.T }

func (r refusing) Authenticate(_ context.Context, token string) (Identity, error) {
	r.t.Errorf("%s was given to the wrong authenticator", token)
	return Identity{}, ErrUnauthenticated
}

func TestCredentialsAreToldApartByTheirForm(t *testing.T) {
	key := NewKey()
	keys := NewKeys(func() time.Time { return now })
	keys.Set("", resourceFor(t, key, "team", "k"))
	tokens := NewTokens(&kubernetes{answer: ofAccount}, audience, nil, func() time.Time { return now })
	if identity, err := (ByForm{Keys: keys, Tokens: refusing{t}}).Authenticate(
		t.Context(),
		key.Reveal(),
	); err != nil ||
		identity.KeyName != "k" {
		t.Errorf("a key: %+v, %v", identity, err)
	}
	if identity, err := (ByForm{Keys: refusing{t}, Tokens: tokens}).Authenticate(
		t.Context(),
		jwt("{}"),
	); err != nil ||
		identity.Account == nil {
		t.Errorf("a token: %+v, %v", identity, err)
	}
	for token, want := range map[string]Credential{
		key.Reveal(): {Form: FormKey}, jwt("{}"): {FormToken, tokenFingerprint(jwt("{}"))}, "x": {}, "st_x": {}, "": {}, key.Reveal() + "0": {},
	} {
		if got := CredentialOf(token); got != want {
			t.Errorf("%s is the credential %+v, want %+v", token, got, want)
		}
	}
}

func TestSecretsAreRedacted(t *testing.T) {
	key, token := NewKey(), jwt(`{"sub": "system:serviceaccount:team:crawler"}`)
	for _, secret := range []string{key.Reveal(), key.Reveal()[:90], key.Reveal() + "x", token, strings.ToUpper(key.secret)} {
		text := "before/st_" + key.ID + "_" + strings.TrimPrefix(secret, "st_"+key.ID+"_") + "/after"
		if secret == token {
			text = "before/" + token + "/after"
		}
		clean := Redact(text)
		if strings.Contains(clean, key.secret) || strings.Contains(clean, "c2lnbmF0dXJl") ||
			strings.Contains(clean, strings.ToUpper(key.secret)) {
			t.Errorf("%s is not redacted: %s", text, clean)
		}
		if !strings.HasPrefix(clean, "before/") || !strings.HasSuffix(clean, "/after") {
			t.Errorf("%s was shortened to %s", text, clean)
		}
	}
	if text := "a st_ and an eyJ.b, /api/v1/jobs/0198a7b2-0000-7000-8000-000000000000"; Redact(text) != text {
		t.Errorf("harmless text became %s", Redact(text))
	}
}

// TestSecretsAreRedactedWhateverIsAround puts credentials between any texts, those that look like parts of credentials too.
func TestSecretsAreRedactedWhateverIsAround(t *testing.T) {
	key := NewKey()
	const signature = "c2lnbmF0dXJl"
	rapid.Check(t, func(t *rapid.T) {
		around := rapid.OneOf(
			rapid.String(),
			rapid.SampledFrom([]string{"st_", "st_abcd", "st_abcd_", "eyJ", "eyJa.", "_", ".", "eyJa.b."}),
		)
		for secret, text := range map[string]string{key.secret: key.Reveal(), signature: jwt(`{"sub": "a"}`)} {
			whole := around.Draw(t, "before") + text + around.Draw(t, "after")
			if clean := Redact(whole); strings.Contains(clean, secret) {
				t.Fatalf("%q becomes %q", whole, clean)
			}
		}
	})
}

// FuzzToken holds that no text is more than refused or asked about.
func FuzzToken(f *testing.F) {
	f.Add(jwt(`{"exp": 1736937000}`))
	f.Add(jwt(`{"exp": "tomorrow"}`))
	f.Add("a.b.c")
	f.Add("..")
	f.Fuzz(func(t *testing.T, token string) {
		expiryOf(token)
		if isJWT(token) && (strings.Count(token, ".") != 2 || len(token) > maxToken || strings.ContainsAny(token, " \x00/+=")) {
			t.Fatalf("%q is taken for a token", token)
		}
		if credential := CredentialOf(token); credential.Name == token && token != "" || (credential.Name != "") != isJWT(token) {
			t.Fatalf("%q is the credential %+v", token, credential)
		}
	})
}
