import { beforeEach } from 'vitest';
import { setLanguage, startI18n } from './i18n';

startI18n('vi');

beforeEach(() => {
  setLanguage('vi');
});
