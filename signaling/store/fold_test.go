package store

import (
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/unicode/norm"
)

func TestFold(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"", ""},
		{"Hoà", "hoa"},
		{"Hòa", "hoa"},
		{"HOA", "hoa"},
		{"Điểm cầu", "diem cau"},
		{"ĐƯỜNG", "duong"},
		{"đường", "duong"},
		{"Nguyễn Thị Ánh Tuyết", "nguyen thi anh tuyet"},
		{"Thuỷ, Thủy", "thuy, thuy"},
		{"Quý Kỵ Lý Lỵ", "quy ky ly ly"},
		{"ĂÂÊÔƠƯ ăâêôơư", "aaeoou aaeoou"},
		{"ẤẦẨẪẬ ắằẳẵặ ớờởỡợ ứừửữự", "aaaaa aaaaa ooooo uuuuu"},
		{"Ðảng ủy", "dang uy"}, // U+00D0 for U+0110
		{"30/2020/NĐ-CP", "30/2020/nd-cp"},
		{"a\xffb", "a\uFFFDb"},
	} {
		require.Equal(t, c.want, Fold(c.in), "%q", c.in)
		require.Equal(t, c.want, Fold(norm.NFD.String(c.in)), "NFD of %q", c.in)
		require.Equal(t, c.want, Fold(norm.NFC.String(c.in)), "NFC of %q", c.in)
	}
}

func FuzzFold(f *testing.F) {
	f.Add("Hoà Điểm")
	f.Add("İ\u0307\u1e9e\u212a")
	f.Fuzz(func(t *testing.T, s string) {
		once := Fold(s)
		require.Equal(t, once, Fold(once))
	})
}
