package directory

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/unicode/norm"
	"pgregory.net/rapid"
)

func TestNamesSortByGivenName(t *testing.T) {
	want := []string{
		"An", "Lê Văn An", "Nguyễn An", "Nguyễn Văn An", "Nguyễn Văn Ấn", "Trần Ạn",
		"Lê Ăn", "Lê Ân", "Phạm Bình", "Bùi Dũng", "Bùi Dung Dương", "An Đào", "Vũ Đạt", "Lê Em", "Lê Ê",
		"Lê Hà", "Trần Hà", "Lê Hả", "Lê Hã", "Lê Há", "An Hạ", "Lê Hoà", "Ly Oanh", "Ly Ô", "Ly Ơ", "Ly Uyên", "Ly Ư", "Ly Yến",
	}
	// Ấn is â with a tone: it belongs after Ân.
	want = slices.Delete(want, 4, 5)
	i := slices.Index(want, "Lê Ân")
	want = slices.Insert(want, i+1, "Nguyễn Văn Ấn")
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, func(a, b string) int { return bytes.Compare(NameSortKey(a), NameSortKey(b)) })
	require.Equal(t, want, got)
}

func TestSortKeyOrdersLettersThenTones(t *testing.T) {
	want := strings.Fields("a à ả ã á ạ ă ằ ẳ ẵ ắ ặ â ầ ẩ ẫ ấ ậ b c d đ e ê g h i k l m n o ô ơ p q r s t u ư v x y")
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, func(a, b string) int { return bytes.Compare(SortKey(a), SortKey(b)) })
	require.Equal(t, want, got)
	require.Equal(t, SortKey("Hòa"), SortKey(norm.NFD.String("Hòa")))
	require.Negative(t, bytes.Compare(SortKey("Hà Nam"), SortKey("Hạ An")), "syllable by syllable: hà before hạ")
}

var hostile = map[string]string{
	"sql":         `'); DROP TABLE users; --`,
	"html":        `<img src=x onerror=alert(1)>`,
	"script":      `</script><script>alert("1")</script>`,
	"template":    `{{.}} ${x} %s %n`,
	"like":        `%_\%`,
	"formula":     `=HYPERLINK("http://x","y")`,
	"rtl":         "abc\u202egpj.exe",
	"isolate":     "abc\u2066def",
	"nul":         "a\x00b",
	"bell":        "a\ab",
	"newline":     "a\nb",
	"del":         "a\u007fb",
	"c1":          "a\u0085b",
	"zero width":  "a\u200bb",
	"bom":         "a\ufeffb",
	"line sep":    "a\u2028b",
	"bad utf8":    "a\xffb",
	"long":        strings.Repeat("ă", 10_000),
	"nfd":         norm.NFD.String("Nguyễn Thị Hoà Đường"),
	"private":     "a\ue000b",
	"only spaces": "   ",
	"emoji":       "Hội trường 🏛",
}

// refusedAnywhere are those that no text field takes.
var refusedAnywhere = []string{"rtl", "isolate", "nul", "bell", "newline", "del", "c1", "zero width", "bom", "line sep", "bad utf8", "long", "private"}

func TestCleanText(t *testing.T) {
	for name, s := range hostile {
		got, err := cleanText("name", s, maxName, true)
		if slices.Contains(refusedAnywhere, name) || name == "only spaces" {
			require.Error(t, err, name)
			require.NotContains(t, err.Error(), "%!", name)
			continue
		}
		require.NoError(t, err, name)
		require.Equal(t, norm.NFC.String(s), got, name)
	}
	_, err := cleanText("name", strings.Repeat("ễ", maxName), maxName, true)
	require.NoError(t, err, "the limit counts characters")
	_, err = cleanText("name", norm.NFD.String(strings.Repeat("ễ", maxName)), maxName, true)
	require.NoError(t, err, "after composition")
	_, err = cleanText("name", strings.Repeat("e", maxName+1), maxName, true)
	require.Equal(t, "too_long", code(err))
}

func TestNormalizeLogin(t *testing.T) {
	for in, want := range map[string]string{
		"An.Nguyen": "an.nguyen", "  an ": "an", "NGUYỄN": "nguyễn", norm.NFD.String("Hoà"): "hoà", "a@b.vn": "a@b.vn", "ST-1_x": "st-1_x",
		"STRAẞE": "strasse",
	} {
		got, err := NormalizeLogin(in)
		require.NoError(t, err, in)
		require.Equal(t, want, got)
	}
	for _, bad := range []string{"", "a b", "-a", ".a", "@", "аdmin" /* Cyrillic */, "a'b", "a<b>", "a/b", "a\x00", "admin\u202e", strings.Repeat("a", 65), strings.Repeat("ß", 40), "=a", "+a"} {
		_, err := NormalizeLogin(bad)
		require.Error(t, err, "%q", bad)
	}
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.String().Draw(t, "s")
		if once, err := NormalizeLogin(s); err == nil {
			if twice, err := NormalizeLogin(once); err != nil || twice != once {
				t.Fatalf("%q gives %q gives %q, %v", s, once, twice, err)
			}
		}
	})
}

func TestContactsAndCodes(t *testing.T) {
	for _, ok := range []string{"", "0912 345 678", "+84912345678", "(0237) 3852 246", "113", "0237.3852.246", "+84-91-234-5678"} {
		got, err := cleanPhone("phone", ok)
		require.NoError(t, err, ok)
		require.Equal(t, ok, got)
	}
	for _, bad := range []string{"12", "abc", "091234567890123456", "++84912345678", "0912;DROP", "=091234", "0912345678 x", "٠٩١٢٣٤"} {
		_, err := cleanPhone("phone", bad)
		require.Error(t, err, bad)
	}
	for _, ok := range []string{"", "an@lamgiang.gov.vn", "a.b+c@d-e.vn", "=x@a.vn"} {
		_, err := cleanMail("mail", ok)
		require.NoError(t, err, ok)
	}
	for _, bad := range []string{"an", "an@", "@x.vn", "an@x", `"<script>"@x.vn`, "a@b.vn, c@d.vn", "a b@c.vn", "a@b..vn", "a@b.vn\nBcc: x@y.vn", "a..b@c.vn", "a@-b.vn"} {
		_, err := cleanMail("mail", bad)
		require.Error(t, err, bad)
	}
	for in, want := range map[string]string{"snv": "SNV", "X01-05": "X01-05", " kv_1.a ": "KV_1.A"} {
		got, err := cleanCode("code", in)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	for _, bad := range []string{"", "-A", "=A", "@A", "A B", "SỞ", "A;B", "A,B", "a\tb", strings.Repeat("A", 41), "ſ"} {
		_, err := cleanCode("code", bad)
		require.Error(t, err, bad)
	}
}

func TestEveryRefusalHasTexts(t *testing.T) {
	for c, m := range messages {
		require.NotEmpty(t, m.vi, c)
		require.NotEmpty(t, m.en, c)
		require.Equal(t, strings.Count(m.vi, "%"), strings.Count(m.en, "%"), c)
	}
	e := fail("unit_has_children", "", 3)
	require.Equal(t, "không xóa được: còn 3 đơn vị trực thuộc", e.Text("vi-VN"))
	require.Equal(t, "cannot be removed: it has 3 units below it", e.Error())
	require.Equal(t, "Họ và tên: dài quá 200 ký tự", fail("too_long", "fullName", 200).Text("vi"))
	require.Equal(t, "so sad", fail("so sad", "").Text("vi"))
}
