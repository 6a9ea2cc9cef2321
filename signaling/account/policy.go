package account

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"diemcau/signaling/store"
)

const (
	minPassword = 10 // characters
	maxPassword = 128
)

// prepared is a password as it is hashed: in NFC, for keyboards differ in how
// they compose Vietnamese letters (RFC 8265, section 4.2). ok is false for what
// nobody can have as a password.
func prepared(password string) (text string, ok bool) {
	if len(password) > 8*maxPassword || !utf8.ValidString(password) {
		return "", false
	}
	text = norm.NFC.String(password)
	if n := utf8.RuneCountInString(text); n < 1 || n > maxPassword {
		return "", false
	}
	for _, r := range text {
		if unicode.IsControl(r) {
			return "", false
		}
	}
	return text, true
}

// goodPassword returns password as it is hashed, or the problem with it as a new
// password of the user with login.
func goodPassword(password, login string) (string, *Problem) {
	text, ok := prepared(password)
	if !ok || utf8.RuneCountInString(text) < minPassword {
		return "", problemPasswordLength
	}
	folded := store.Fold(text)
	name, _, _ := strings.Cut(store.Fold(login), "@")
	if name != "" && (folded == name || len(name) >= 4 && len(strings.ReplaceAll(folded, name, "")) <= minPassword/2) {
		return "", problemPasswordLogin
	}
	if tooCommon(folded) {
		return "", problemPasswordCommon
	}
	return text, nil
}

// tooCommon finds what guessers try first: the commonest passwords, numbers of
// telephones and birthdays, a few characters over and over, and walks along the
// digits or the alphabet.
func tooCommon(folded string) bool {
	distinct := make(map[rune]bool)
	letters := strings.TrimRight(folded, "0123456789!@#$.*_-")
	steps, last := 0, rune(0)
	for _, r := range folded {
		distinct[r] = true
		if r == last+1 || r == last-1 || r == last {
			steps++
		}
		last = r
	}
	return len(distinct) < 5 || steps >= utf8.RuneCountInString(folded)-2 ||
		letters == "" && utf8.RuneCountInString(folded) < 16 || commonPasswords[folded] || commonStems[letters]
}

// commonPasswords are common ones of at least minPassword characters, folded.
var commonPasswords = wordSet(`
	1q2w3e4r5t 1q2w3e4r5t6y 1qaz2wsx3edc qazwsxedcrfv zaq12wsxcde3 q1w2e3r4t5 1a2b3c4d5e a1b2c3d4e5
	qwertyuiop qwertyuiop[] asdfghjkl; zxcvbnm,./ qwerty12345 qwerty123456 qwert12345 asdfgh12345 1234qwerasdf
	1234567890q 1234567890a 123456789qwe 123456789abc 123qweasdzxc 1234512345 123123123123 1212121212
	password1234 passw0rd123 p@ssw0rd123 p@ssword123 welcome1234 letmein1234 changeme123 administrator
	iloveyou1234 superman123 football123 sunshine123 princess123 trustno1234 whatever123 google12345
	anhyeuem123 emyeuanh123 anhyeuem1234 yeuemnhieu yeuanhnhieu anhnhoemnhieu 0123456789 0987654321 9876543210
	matkhau1234 matkhau12345 matkhaumoi khongbiet123 khongcopass khongcomatkhau conmemay123 hoilamgi123
	vietnam1234 vietnamvodich hanoivietnam saigon12345 thanhhoa123 thanhhoa36 quangnam123 ninhthuan123 sonla12345
	ubnd123456 ubndtinh123 hdnd123456 vanphong123 hochanh123 diemcau123 hopkhonggiay`)

// commonStems are words that only digits and marks were added to.
var commonStems = wordSet(`
	password passw0rd p@ssw0rd p@ssword matkhau matkhaumoi admin administrator root user test guest welcome
	letmein changeme qwerty qwertyuiop asdfghjkl zxcvbnm abc abcd abcdef iloveyou vietnam hanoi saigon thanhhoa
	quangnam ninhthuan sonla ubnd ubndtinh hdnd tinhuy vanphong thuky chutich diemcau phonghop
	anhyeuem emyeuanh yeuem yeuanh monkey dragon football superman pass secret login hello xinchao`)

func wordSet(words string) map[string]bool {
	set := make(map[string]bool)
	for _, w := range strings.Fields(words) {
		set[w] = true
	}
	return set
}
