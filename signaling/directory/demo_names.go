package directory

// An invented province: names of its units are put together from what is usual
// in the north and the middle of the country since the reform to two tiers.

// demoAgency is an agency of the province with a room of its own.
type demoAgency struct{ code, name, short, kind, place string }

const demoProvince = "Lam Giang"

var demoBlocks = []struct {
	code, name string
	agencies   []demoAgency
}{
	{"KHOI-DANG", "Khối cơ quan Đảng", []demoAgency{
		{"TU", "Văn phòng Tỉnh ủy", "VPTU", "Văn phòng", "Trụ sở Tỉnh ủy"},
		{"BTC", "Ban Tổ chức Tỉnh ủy", "BTCTU", "Ban Đảng", "Trụ sở Tỉnh ủy"},
		{"BTGDV", "Ban Tuyên giáo và Dân vận Tỉnh ủy", "BTGDVTU", "Ban Đảng", "Trụ sở Tỉnh ủy"},
		{"BNC", "Ban Nội chính Tỉnh ủy", "BNCTU", "Ban Đảng", "Trụ sở Tỉnh ủy"},
		{"UBKT", "Ủy ban Kiểm tra Tỉnh ủy", "UBKTTU", "Ban Đảng", "Trụ sở Tỉnh ủy"},
		{"DUCQ", "Đảng ủy các cơ quan Đảng tỉnh", "ĐUCQĐ", "Đảng ủy", "Trụ sở Tỉnh ủy"},
		{"DUUB", "Đảng ủy Ủy ban nhân dân tỉnh", "ĐU UBND", "Đảng ủy", "Trụ sở UBND tỉnh"},
		{"TCT", "Trường Chính trị tỉnh", "TCT", "Trường", "Phường Lam Sơn"},
		{"BAO", "Báo và Phát thanh, Truyền hình Lam Giang", "BPTTH", "Cơ quan báo chí", "Phường Lam Sơn"},
	}},
	{"KHOI-DT", "Mặt trận Tổ quốc và đoàn thể", []demoAgency{
		{"MTTQ", "Ủy ban Mặt trận Tổ quốc Việt Nam tỉnh", "MTTQ", "Mặt trận", "Phường Lam Sơn"},
		{"LDLD", "Liên đoàn Lao động tỉnh", "LĐLĐ", "Đoàn thể", "Phường Lam Sơn"},
		{"HND", "Hội Nông dân tỉnh", "HND", "Đoàn thể", "Phường Lam Sơn"},
		{"HPN", "Hội Liên hiệp Phụ nữ tỉnh", "HLHPN", "Đoàn thể", "Phường Lam Sơn"},
		{"TDOAN", "Tỉnh đoàn Lam Giang", "TĐ", "Đoàn thể", "Phường Lam Sơn"},
		{"HCCB", "Hội Cựu chiến binh tỉnh", "HCCB", "Đoàn thể", "Phường Lam Sơn"},
	}},
	{"KHOI-CQ", "Khối chính quyền", []demoAgency{
		{"HDND", "Văn phòng Đoàn đại biểu Quốc hội và Hội đồng nhân dân tỉnh", "VPHĐND", "Văn phòng", "Trụ sở HĐND tỉnh"},
		{"UBND", "Văn phòng Ủy ban nhân dân tỉnh", "VPUBND", "Văn phòng", "Trụ sở UBND tỉnh"},
		{"SNV", "Sở Nội vụ", "SNV", "Sở", "Khu hành chính tập trung"},
		{"STC", "Sở Tài chính", "STC", "Sở", "Khu hành chính tập trung"},
		{"SXD", "Sở Xây dựng", "SXD", "Sở", "Khu hành chính tập trung"},
		{"SNNMT", "Sở Nông nghiệp và Môi trường", "SNNMT", "Sở", "Khu hành chính tập trung"},
		{"SCT", "Sở Công Thương", "SCT", "Sở", "Khu hành chính tập trung"},
		{"SKHCN", "Sở Khoa học và Công nghệ", "SKHCN", "Sở", "Khu hành chính tập trung"},
		{"SVHTTDL", "Sở Văn hóa, Thể thao và Du lịch", "SVHTTDL", "Sở", "Phường Hạc Thành"},
		{"SGDDT", "Sở Giáo dục và Đào tạo", "SGDĐT", "Sở", "Phường Hạc Thành"},
		{"SYT", "Sở Y tế", "SYT", "Sở", "Phường Hạc Thành"},
		{"STP", "Sở Tư pháp", "STP", "Sở", "Khu hành chính tập trung"},
		{"SDTTG", "Sở Dân tộc và Tôn giáo", "SDTTG", "Sở", "Khu hành chính tập trung"},
		{"SNGV", "Sở Ngoại vụ", "SNgV", "Sở", "Khu hành chính tập trung"},
		{"TTR", "Thanh tra tỉnh", "TTr", "Thanh tra", "Phường Hạc Thành"},
		{"BQLKKT", "Ban Quản lý Khu kinh tế và các khu công nghiệp", "BQLKKT", "Ban quản lý", "Phường Tân Giang"},
		{"TTHCC", "Trung tâm Phục vụ hành chính công tỉnh", "TTPVHCC", "Trung tâm", "Khu hành chính tập trung"},
		{"TTCNTT", "Trung tâm Công nghệ thông tin và Truyền thông", "TTCNTT", "Trung tâm", "Phường Hạc Thành"},
		{"TTXTDT", "Trung tâm Xúc tiến Đầu tư, Thương mại và Du lịch", "TTXT", "Trung tâm", "Phường Hạc Thành"},
		{"QDTPT", "Quỹ Đầu tư phát triển tỉnh", "QĐTPT", "Quỹ", "Phường Lam Sơn"},
		{"BQLGT", "Ban Quản lý dự án đầu tư xây dựng công trình giao thông", "BQLGT", "Ban quản lý", "Phường Tân Giang"},
		{"BQLDD", "Ban Quản lý dự án đầu tư xây dựng công trình dân dụng", "BQLDD", "Ban quản lý", "Phường Tân Giang"},
		{"BQLNN", "Ban Quản lý dự án đầu tư xây dựng công trình nông nghiệp", "BQLNN", "Ban quản lý", "Phường Tân Giang"},
	}},
	{"KHOI-SN", "Đơn vị sự nghiệp của tỉnh", []demoAgency{
		{"BVDK", "Bệnh viện Đa khoa tỉnh", "BVĐK", "Bệnh viện", "Phường Hạc Thành"},
		{"BVN", "Bệnh viện Nhi tỉnh", "BVN", "Bệnh viện", "Phường Hạc Thành"},
		{"BVPS", "Bệnh viện Phụ sản tỉnh", "BVPS", "Bệnh viện", "Phường Hạc Thành"},
		{"BVYHCT", "Bệnh viện Y học cổ truyền tỉnh", "BVYHCT", "Bệnh viện", "Phường Lam Sơn"},
		{"TTKSBT", "Trung tâm Kiểm soát bệnh tật tỉnh", "CDC", "Trung tâm", "Phường Hạc Thành"},
		{"DHLG", "Trường Đại học Lam Giang", "ĐHLG", "Trường", "Phường Đông Giang"},
		{"CDYT", "Trường Cao đẳng Y tế Lam Giang", "CĐYT", "Trường", "Phường Đông Giang"},
		{"CDCN", "Trường Cao đẳng Công nghiệp Lam Giang", "CĐCN", "Trường", "Phường Đông Giang"},
	}},
	{"KHOI-NC", "Khối nội chính", []demoAgency{
		{"CA", "Công an tỉnh", "CAT", "Công an", "Phường Hạc Thành"},
		{"BCHQS", "Bộ Chỉ huy Quân sự tỉnh", "BCHQS", "Quân sự", "Phường Đông Giang"},
		{"BDBP", "Ban Chỉ huy Bộ đội Biên phòng tỉnh", "BĐBP", "Quân sự", "Phường Đông Giang"},
		{"TAND", "Tòa án nhân dân tỉnh", "TAND", "Tòa án", "Phường Lam Sơn"},
		{"VKSND", "Viện Kiểm sát nhân dân tỉnh", "VKSND", "Viện kiểm sát", "Phường Lam Sơn"},
		{"THADS", "Thi hành án dân sự tỉnh", "THADS", "Thi hành án", "Phường Lam Sơn"},
		{"TA-KV1", "Tòa án nhân dân khu vực 1", "TAKV1", "Tòa án", "Phường Lam Sơn"},
		{"TA-KV2", "Tòa án nhân dân khu vực 2", "TAKV2", "Tòa án", "Phường Tân Giang"},
		{"TA-KV3", "Tòa án nhân dân khu vực 3", "TAKV3", "Tòa án", "Xã Mường Khoai"},
		{"VKS-KV1", "Viện Kiểm sát nhân dân khu vực 1", "VKSKV1", "Viện kiểm sát", "Phường Lam Sơn"},
		{"VKS-KV2", "Viện Kiểm sát nhân dân khu vực 2", "VKSKV2", "Viện kiểm sát", "Phường Tân Giang"},
		{"VKS-KV3", "Viện Kiểm sát nhân dân khu vực 3", "VKSKV3", "Viện kiểm sát", "Xã Mường Khoai"},
	}},
	{"KHOI-ND", "Cơ quan ngành dọc", []demoAgency{
		{"THUE", "Thuế tỉnh Lam Giang", "Thuế", "Ngành dọc", "Phường Hạc Thành"},
		{"HQ", "Hải quan Lam Giang", "HQ", "Ngành dọc", "Phường Tân Giang"},
		{"KBNN", "Kho bạc Nhà nước khu vực", "KBNN", "Ngành dọc", "Phường Hạc Thành"},
		{"NHNN", "Ngân hàng Nhà nước chi nhánh khu vực", "NHNN", "Ngành dọc", "Phường Hạc Thành"},
		{"BHXH", "Bảo hiểm xã hội tỉnh", "BHXH", "Ngành dọc", "Phường Lam Sơn"},
		{"TK", "Thống kê tỉnh", "TK", "Ngành dọc", "Phường Lam Sơn"},
		{"KTTV", "Đài Khí tượng Thủy văn tỉnh", "KTTV", "Ngành dọc", "Phường Đông Giang"},
		{"DIEN", "Công ty Điện lực Lam Giang", "PC", "Doanh nghiệp", "Phường Hạc Thành"},
		{"BDT", "Bưu điện tỉnh", "BĐT", "Doanh nghiệp", "Phường Hạc Thành"},
		{"VTT", "Viễn thông Lam Giang", "VTT", "Doanh nghiệp", "Phường Hạc Thành"},
	}},
}

// demoAreas are the 12 areas that regional rooms serve: 11 communes each, "P."
// before the wards.
var demoAreas = []struct {
	code, name string
	communes   [11]string
}{
	{"KV01", "Hạc Thành", [11]string{"P.Hạc Thành", "P.Lam Sơn", "P.Đông Giang", "P.Tân Giang", "P.Quảng Phú", "P.Hàm Rồng", "P.Nguyệt Viên", "Đông Tiến", "Đông Quang", "Thiệu Vân", "Long Anh"}},
	{"KV02", "Sầm Giang", [11]string{"P.Sầm Giang", "P.Nam Sầm", "P.Quảng Tiến", "Quảng Lưu", "Quảng Bình", "Quảng Ninh", "Quảng Yên", "Quảng Chính", "Quảng Ngọc", "Tiên Trang", "Lưu Vệ"}},
	{"KV03", "Bỉm Giang", [11]string{"P.Bỉm Giang", "P.Quang Trung", "P.Ba Đình", "Hà Trung", "Hà Long", "Hà Đông", "Hoạt Giang", "Lĩnh Toại", "Tống Sơn", "Nga Thắng", "Nga An"}},
	{"KV04", "Nghi Giang", [11]string{"P.Nghi Giang", "P.Hải Lĩnh", "P.Trúc Lâm", "P.Tân Dân", "P.Hải Bình", "Các Sơn", "Trường Lâm", "Tùng Lĩnh", "Phú Lâm", "Định Hải", "Thanh Thủy"}},
	{"KV05", "Hoằng Giang", [11]string{"Hoằng Giang", "Hoằng Tiến", "Hoằng Thanh", "Hoằng Lộc", "Hoằng Châu", "Hoằng Sơn", "Hoằng Phú", "Hoằng Hóa", "Hoằng Trường", "Hậu Lộc", "Hoa Lộc"}},
	{"KV06", "Nông Giang", [11]string{"Nông Giang", "Tượng Lĩnh", "Thăng Bình", "Trung Chính", "Trường Văn", "Vạn Thắng", "Thắng Lợi", "Công Chính", "Đồng Lương", "Triệu Sơn", "Hợp Tiến"}},
	{"KV07", "Thọ Giang", [11]string{"Thọ Giang", "Thọ Bình", "Thọ Long", "Thọ Lập", "Thọ Phú", "Thọ Ngọc", "Xuân Hòa", "Xuân Lập", "Xuân Tín", "Sao Vàng", "Lam Kinh"}},
	{"KV08", "Yên Giang", [11]string{"Yên Giang", "Yên Định", "Yên Trường", "Yên Phú", "Yên Ninh", "Định Tân", "Định Hòa", "Quý Lộc", "Vĩnh Lộc", "Tây Đô", "Biện Thượng"}},
	{"KV09", "Cẩm Giang", [11]string{"Cẩm Giang", "Cẩm Thạch", "Cẩm Tú", "Cẩm Vân", "Cẩm Tân", "Kim Tân", "Vân Du", "Ngọc Trạo", "Thạch Bình", "Thành Vinh", "Thạch Quảng"}},
	{"KV10", "Ngọc Giang", [11]string{"Ngọc Giang", "Ngọc Lặc", "Ngọc Liên", "Thạch Lập", "Minh Sơn", "Kiên Thọ", "Nguyệt Ấn", "Linh Sơn", "Đồng Tâm", "Văn Phú", "Giao An"}},
	{"KV11", "Mường Khoai", [11]string{"Mường Khoai", "Mường Lý", "Mường Chanh", "Quang Chiểu", "Tam Chung", "Pù Nhi", "Trung Lý", "Nhi Sơn", "Hồi Xuân", "Nam Xuân", "Thiên Phủ"}},
	{"KV12", "Như Giang", [11]string{"Như Giang", "Như Thanh", "Xuân Du", "Xuân Thái", "Mậu Lâm", "Yên Thọ", "Thanh Kỳ", "Thượng Ninh", "Hóa Quỳ", "Xuân Bình", "Thanh Quân"}},
}

var demoPositions = []string{
	"Bí thư Tỉnh ủy", "Chủ tịch Hội đồng nhân dân tỉnh", "Chủ tịch Ủy ban nhân dân tỉnh", "Phó Chủ tịch Ủy ban nhân dân tỉnh",
	"Giám đốc", "Phó Giám đốc", "Trưởng ban", "Phó Trưởng ban", "Chánh Văn phòng", "Phó Chánh Văn phòng",
	"Chủ tịch Ủy ban nhân dân xã", "Chủ tịch Ủy ban nhân dân phường", "Trưởng phòng", "Chuyên viên", "Kỹ thuật viên", "Phóng viên",
}

// Family names stand as often as they are common.
var demoFamilies = []string{
	"Nguyễn", "Nguyễn", "Nguyễn", "Nguyễn", "Nguyễn", "Nguyễn", "Trần", "Trần", "Trần", "Lê", "Lê", "Lê", "Lê", "Phạm", "Phạm",
	"Hoàng", "Hoàng", "Vũ", "Phan", "Trương", "Bùi", "Bùi", "Đặng", "Đỗ", "Đỗ", "Ngô", "Hồ", "Dương", "Lý", "Mai", "Trịnh", "Trịnh",
	"Đào", "Đinh", "Lưu", "Hà", "Cao", "Lương", "Quách", "Lò", "Vi", "Thao",
}

var demoMiddles = [2][]string{
	{"Văn", "Văn", "Đức", "Quốc", "Minh", "Hữu", "Xuân", "Ngọc", "Quang", "Thanh", "Trọng", "Anh", "Đình", "Duy", "Công", "Bá", "Thế", "Tiến"},
	{"Thị", "Thị", "Thị", "Thu", "Ngọc", "Thanh", "Minh", "Hồng", "Kim", "Phương", "Thúy", "Bích", "Mai", "Thị Thanh", "Thị Hồng"},
}

var demoGivens = [2][]string{
	{"An", "Anh", "Ân", "Bảo", "Bằng", "Bình", "Chiến", "Chính", "Công", "Cường", "Dũng", "Dương", "Đại", "Đạt", "Định", "Đông", "Đức", "Giang",
		"Hà", "Hải", "Hậu", "Hiếu", "Hiển", "Hòa", "Hoàng", "Hùng", "Huy", "Hưng", "Khánh", "Kiên", "Lâm", "Long", "Lợi", "Minh", "Nam", "Nghĩa",
		"Phong", "Phúc", "Quân", "Quang", "Quý", "Sơn", "Tài", "Tâm", "Tân", "Thái", "Thành", "Thắng", "Thịnh", "Tiến", "Toàn", "Trung", "Tú", "Tuấn", "Tùng", "Việt", "Vinh", "Vượng"},
	{"An", "Ánh", "Bích", "Chi", "Chinh", "Dung", "Duyên", "Đào", "Giang", "Hà", "Hạnh", "Hằng", "Hiền", "Hoa", "Hòa", "Hồng", "Huệ", "Huyền", "Hương",
		"Lan", "Liên", "Linh", "Loan", "Ly", "Mai", "My", "Nga", "Ngân", "Ngọc", "Nhung", "Oanh", "Phương", "Quyên", "Quỳnh", "Thảo", "Thoa", "Thu", "Thủy", "Thúy", "Trang", "Tuyết", "Vân", "Yến"},
}
