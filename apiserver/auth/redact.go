package auth

import (
	"regexp"
	"strings"
)

// secretKey finds what looks like an API key, including mistyped ones, and secretToken what looks like a signed JSON Web Token.
var (
	secretKey   = regexp.MustCompile(`(st_[A-Za-z0-9]{4,32})_[A-Za-z0-9_]{16,}`)
	secretToken = regexp.MustCompile(`eyJ[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+){2,}`)
)

// Redact removes the secrets of credentials from a text, for the log: callers put them where they do not belong.
func Redact(text string) string {
	if strings.Contains(text, "eyJ") {
		text = secretToken.ReplaceAllString(text, "eyJ…")
	}
	if strings.Contains(text, keyPrefix) {
		text = secretKey.ReplaceAllString(text, "${1}_…")
	}
	return text
}
